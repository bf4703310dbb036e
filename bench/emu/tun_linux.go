package emu

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

const (
	deviceName = "fairlead0"
	// tunQueue is the TUN device's queue in packets. It is long because what it drops, the link did not mean to drop:
	// 20,000 packets are half a second at 40,000 packets/s.
	tunQueue = 20000
)

// openTun makes the namespace's end of the link, up and with its addresses, and marks the namespace as ours.
// The device has no segmentation offload: each read is one IP packet of at most mtu bytes, and so is one loss.
// It goes away when fd is closed.
func (ns *namespace) openTun(mtu int, mark string, addrs ...netip.Prefix) (fd, index int, err error) {
	fd = -1
	err = ns.do(func() error {
		if fd, err = unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0); err != nil {
			return fmt.Errorf("open /dev/net/tun: %w", err)
		}
		req, err := unix.NewIfreq(deviceName)
		if err != nil {
			return err
		}
		req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
			return fmt.Errorf("make TUN device: %w", err)
		}
		dev, err := net.InterfaceByName(deviceName)
		if err != nil {
			return err
		}
		index = dev.Index
		// The only packets on the link are those of its users: no router solicitation, no link-local address.
		if err := sysctl("net/ipv6/conf/"+deviceName+"/addr_gen_mode", "1"); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		r, err := openRtnl()
		if err != nil {
			return err
		}
		defer r.close()
		if err := r.setLink(loopback, 0, 0, mark); err != nil {
			return err
		}
		if err := r.setLink(index, mtu, tunQueue, ""); err != nil {
			return err
		}
		for _, a := range addrs {
			family := byte(unix.AF_INET)
			if a.Addr().Is6() {
				if family = unix.AF_INET6; !hasIPv6() {
					continue
				}
			}
			if err := r.addAddr(index, a); err != nil {
				return err
			}
			if err := r.addDefaultRoute(index, family); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil && fd >= 0 {
		unix.Close(fd)
	}
	return fd, index, err
}

func hasIPv6() bool {
	b, err := os.ReadFile("/proc/sys/net/ipv6/conf/all/disable_ipv6")
	return err == nil && len(b) > 0 && b[0] == '0'
}

// sysctl sets a kernel setting of the calling thread's network namespace.
func sysctl(name, value string) error {
	if err := os.WriteFile("/proc/sys/"+name, []byte(value), 0o644); err != nil {
		return fmt.Errorf("set %s to %s: %w", name, value, err)
	}
	return nil
}
