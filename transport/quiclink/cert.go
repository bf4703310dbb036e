package quiclink

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"time"

	"github.com/quic-go/quic-go"
)

// ErrPin is wrapped by the error of a relay whose certificate does not have the pinned key.
var ErrPin = errors.New("quiclink: the relay's key is not the pinned one")

// Pin names a certificate's public key: SHA-256 of its SubjectPublicKeyInfo (as in RFC 7469 §2.4), base64url without padding.
func Pin(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// parsePin decodes a pin.
func parsePin(s string) ([]byte, error) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) != sha256.Size {
		return nil, fmt.Errorf("pin: %q is not SHA-256 in base64url (43 characters)", s)
	}
	return b, nil
}

// Identity loads a certificate and key, and reports whether it vouches for itself. Without files it makes a self-signed one for this run; with names of files that do
// not exist, one that is kept there, so that its pin stays.
func Identity(certFile, keyFile string) (tls.Certificate, bool, error) {
	if certFile == "" && keyFile == "" {
		cert, _, _, err := selfSigned()
		return cert, true, err
	}
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if !errors.Is(err, fs.ErrNotExist) || exists(certFile) || exists(keyFile) {
		if err != nil {
			return cert, false, fmt.Errorf("quiclink: certificate: %w", err)
		}
		return cert, cert.Leaf != nil && cert.Leaf.CheckSignatureFrom(cert.Leaf) == nil, nil
	}
	cert, certPEM, keyPEM, err := selfSigned()
	if err != nil {
		return cert, true, err
	}
	if err := os.WriteFile(keyFile, keyPEM, 0o600); err != nil {
		return cert, true, fmt.Errorf("quiclink: keep the key: %w", err)
	}
	if err := os.WriteFile(certFile, certPEM, 0o644); err != nil {
		return cert, true, fmt.Errorf("quiclink: keep the certificate: %w", err)
	}
	return cert, true, nil
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// selfSigned makes a P-256 key and a certificate of ten years: who connects checks the pin, not the dates.
func selfSigned() (cert tls.Certificate, certPEM, keyPEM []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return cert, nil, nil, fmt.Errorf("quiclink: make a key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return cert, nil, nil, fmt.Errorf("quiclink: make a serial number: %w", err)
	}
	now := time.Now()
	tmpl := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "fairlead relay"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(10, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true, IsCA: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		return cert, nil, nil, fmt.Errorf("quiclink: make a certificate: %w", err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return cert, nil, nil, fmt.Errorf("quiclink: encode the key: %w", err)
	}
	certPEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
	cert, err = tls.X509KeyPair(certPEM, keyPEM)
	return cert, certPEM, keyPEM, err
}

// clientTLS checks the relay by its pin if there is one, else by the system's authorities.
func clientTLS(host, pin string) (*tls.Config, error) {
	cfg := &tls.Config{ServerName: host, NextProtos: []string{ALPN}, MinVersion: tls.VersionTLS13}
	if pin == "" {
		return cfg, nil
	}
	if _, err := parsePin(pin); err != nil {
		return nil, err
	}
	cfg.InsecureSkipVerify = true // the pin is what is verified
	cfg.VerifyConnection = func(cs tls.ConnectionState) error {
		if got := Pin(cs.PeerCertificates[0]); got != pin {
			return fmt.Errorf("%w: it is %s", ErrPin, got)
		}
		return nil
	}
	return cfg, nil
}

// resetKey is what stateless resets are made of (RFC 9000 §10.3). It follows from the certificate's key, so that a relay that was killed and
// started again with the same one ends its former self's connections at their first packet, in place of their idle time-out. nil: no resets.
func resetKey(cert tls.Certificate) *quic.StatelessResetKey {
	der, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		return nil
	}
	sum := sha256.Sum256(append([]byte("fairlead stateless reset\x00"), der...))
	return (*quic.StatelessResetKey)(&sum)
}
