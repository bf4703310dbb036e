package relay

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/fairlead-live/fairlead/transport/quiclink"
)

// certLook is how often the certificate's file is looked at, which a renewal replaces. Ours.
const certLook = 10 * time.Second

// certificate is RTMPS's, read again when its file has changed.
type certificate struct {
	certFile, keyFile string
	failed            func(error)

	mu     sync.Mutex // guards what follows
	cert   tls.Certificate
	stamp  time.Time // of certFile
	looked time.Time
}

// listenRTMPS opens the listener for RTMP over TLS. Its certificate is its own, else QUIC's, else a self-signed one for this run.
func (r *Relay) listenRTMPS() error {
	c := &certificate{failed: func(err error) {
		r.log.Error("rtmps: the renewed certificate is of no use; the old one stays", "err", err)
	}}
	if c.certFile, c.keyFile = r.cfg.RTMPSCert, r.cfg.RTMPSKey; c.certFile == "" {
		c.certFile, c.keyFile = r.cfg.QUICCert, r.cfg.QUICKey
	}
	var err error
	if c.cert, _, err = quiclink.Identity(c.certFile, c.keyFile); err != nil {
		return fmt.Errorf("rtmps: %w", err)
	}
	c.stamp = modified(c.certFile)
	l, err := net.Listen("tcp", r.cfg.RTMPS)
	if err != nil {
		return explain("rtmps", r.cfg.RTMPS, err)
	}
	r.rtmps = tls.NewListener(l, &tls.Config{GetCertificate: c.get})
	return nil
}

// get implements tls.Config.GetCertificate.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); c.certFile != "" && now.Sub(c.looked) >= certLook {
		c.looked = now
		if stamp := modified(c.certFile); !stamp.Equal(c.stamp) {
			cert, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
			if err != nil { // half of a renewal, most likely: looked at again
				c.failed(err)
			} else {
				c.cert, c.stamp = cert, stamp
			}
		}
	}
	cert := c.cert
	return &cert, nil
}

// modified is when a file was changed last, zero when it is not there.
func modified(file string) time.Time {
	st, err := os.Stat(file)
	if err != nil {
		return time.Time{}
	}
	return st.ModTime()
}

// RTMPSAddr returns the address listened on for RTMP over TLS; nil: off.
func (r *Relay) RTMPSAddr() net.Addr {
	if r.rtmps == nil {
		return nil
	}
	return r.rtmps.Addr()
}
