#!/bin/sh
# deb.sh BINARY VERSION ARCH OUT: makes OUT/fairlead_VERSION_ARCH.deb of a binary that was built for ARCH (Debian's word for it).
# HOST, when set, is a binary for this machine that writes the manual page and the completions.
# COMPRESS is for dpkg-deb (-Zxz). It needs dpkg-deb and gzip.
set -eu
binary=$1 version=$2 arch=$3 out=$4
host=${HOST:-$binary}
here=$(cd "$(dirname "$0")" && pwd)
docs=$here/../../../docs
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 755 "$root"
put() { install -D -m "$1" "$2" "$root/$3"; }
put 755 "$binary" usr/bin/fairlead
put 644 "$here/fairlead.service" usr/lib/systemd/system/fairlead.service
put 644 "$here/relay.yaml" etc/fairlead/relay.yaml
put 644 "$here/sysctl.conf" usr/lib/sysctl.d/60-fairlead.conf
put 644 "$docs/relay.yaml" usr/share/doc/fairlead/relay.yaml
put 644 "$here/../../../LICENSE" usr/share/doc/fairlead/copyright
for d in usr/share/man/man1 usr/share/bash-completion/completions usr/share/zsh/vendor-completions usr/share/fish/vendor_completions.d; do
  mkdir -p "$root/$d"
done
"$host" man | gzip -9n >"$root/usr/share/man/man1/fairlead.1.gz"
"$host" completion bash >"$root/usr/share/bash-completion/completions/fairlead"
"$host" completion zsh >"$root/usr/share/zsh/vendor-completions/_fairlead"
"$host" completion fish >"$root/usr/share/fish/vendor_completions.d/fairlead.fish"
"$host" version --sbom >"$root/usr/share/doc/fairlead/sbom.cdx.json"
mkdir -p "$root/DEBIAN"
echo /etc/fairlead/relay.yaml >"$root/DEBIAN/conffiles"
cat >"$root/DEBIAN/control" <<CONTROL
Package: fairlead
Version: $version
Architecture: $arch
Maintainer: fairlead <packages@fairlead.invalid>
Installed-Size: $(du -ks "$root" | cut -f1)
Section: video
Priority: optional
Homepage: https://github.com/fairlead-live/fairlead
Description: live video from a bad network to a good one
 A relay that takes live streams over SRT, QUIC and RTMP, repairs what a lossy
 uplink took from them, and hands them to players and CDN tiers; and the
 publisher, the bench and the demo that go with it.
CONTROL
cat >"$root/DEBIAN/postinst" <<'SCRIPT'
#!/bin/sh
set -e
if [ "$1" = configure ] && [ -d /run/systemd/system ]; then
  systemctl daemon-reload
  # A running relay is replaced; a first one waits to be told: systemctl enable --now fairlead
  systemctl try-restart fairlead.service || true
fi
SCRIPT
cat >"$root/DEBIAN/prerm" <<'SCRIPT'
#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
  systemctl disable --now fairlead.service || true
fi
SCRIPT
chmod 755 "$root/DEBIAN/postinst" "$root/DEBIAN/prerm"
mkdir -p "$out"
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-0} dpkg-deb --root-owner-group ${COMPRESS:--Zxz} --build "$root" "$out/fairlead_${version}_$arch.deb"
