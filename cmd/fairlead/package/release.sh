#!/bin/sh
# release.sh VERSION: out/release gets static binaries for every system, Debian packages where dpkg-deb is, the bill of materials
# and the checksums of all of it. The same commit, Go and page make the same bytes.
set -eu
version=$1
cd "$(dirname "$0")/../../.."
out=out/release
rm -rf "$out" && mkdir -p "$out"
export CGO_ENABLED=0
build() { go build -trimpath -buildvcs=false -ldflags='-s -w' -o "$1" ./cmd/fairlead; }
build "$out/host"
for target in ${TARGETS:-linux/amd64 linux/arm64 linux/arm linux/riscv64 darwin/arm64 darwin/amd64 windows/amd64 freebsd/amd64}; do
  os=${target%/*} arch=${target#*/} ext=
  [ "$os" = windows ] && ext=.exe
  binary=$out/fairlead_${version}_${os}_$arch$ext
  GOOS=$os GOARCH=$arch build "$binary"
  if [ "$os" = linux ] && command -v dpkg-deb >/dev/null; then
    debian=$arch
    [ "$arch" = arm ] && debian=armhf
    HOST=$out/host cmd/fairlead/package/deb.sh "$binary" "$version" "$debian" "$out" >/dev/null
  fi
done
"$out/host" version --sbom >"$out/fairlead_$version.cdx.json"
rm "$out/host"
(cd "$out" && sha256sum -- * >SHA256SUMS && cat SHA256SUMS)
