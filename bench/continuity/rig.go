package continuity

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// rig is one relay with its publisher and its tiers.
type rig struct {
	cfg    *Config
	ctx    context.Context
	cancel context.CancelFunc
	peer   Peer
	dir    string
	in     string
	log    *os.File
	cmd    *exec.Cmd
	a, b   *tier
	source *source
}

// newRig starts everything and waits until both tiers have pictures.
func newRig(ctx context.Context, cfg *Config, p Peer) (_ *rig, err error) {
	r := &rig{cfg: cfg, peer: p}
	r.ctx, r.cancel = context.WithCancel(ctx)
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	if r.dir, err = os.MkdirTemp("", "fairlead-continuity-"); err != nil {
		return nil, err
	}
	if r.log, err = os.Create(filepath.Join(r.dir, "log")); err != nil {
		return nil, err
	}
	if r.a, err = newTier(); err != nil {
		return nil, err
	}
	if r.b, err = newTier(); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r.in = l.Addr().String()
	_ = l.Close()
	if err := r.startRelay(); err != nil {
		return nil, err
	}
	if r.source, err = newSource(r.ctx, r.in, cfg.Bitrate, 0); err != nil {
		return nil, err
	}
	for _, t := range []*tier{r.a, r.b} {
		if !until(r.ctx, 20*time.Second, func() bool { got, _ := t.arrivals(); return len(got) > 30 }) {
			return nil, fmt.Errorf("continuity: %s: nothing arrives: %s", p.Name, r.said())
		}
	}
	return r, nil
}

// startRelay starts the relay and waits until it listens.
func (r *rig) startRelay() error {
	var err error
	if r.cmd, err = r.peer.start(r.dir, r.in, r.a.addr, r.b.addr, r.log); err != nil {
		return err
	}
	if !until(r.ctx, 10*time.Second, r.listens) {
		return fmt.Errorf("continuity: %s does not listen: %s", r.peer.Name, r.said())
	}
	return nil
}

func (r *rig) listens() bool {
	c, err := net.Dial("tcp", r.in)
	if err == nil {
		_ = c.Close()
	}
	return err == nil
}

// killRelay is kill -9.
func (r *rig) killRelay() {
	if r.cmd != nil {
		_ = r.cmd.Process.Kill()
		_ = r.cmd.Wait()
		r.cmd = nil
	}
}

// said is the end of the relay's log.
func (r *rig) said() string {
	b, _ := os.ReadFile(r.log.Name())
	return strings.TrimSpace(string(b[max(0, len(b)-500):]))
}

// resident returns the relay's memory in bytes, 0 where the system does not say.
func (r *rig) resident() int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", r.cmd.Process.Pid))
	if f := strings.Fields(string(b)); err == nil && len(f) > 1 {
		n, _ := strconv.ParseInt(f[1], 10, 64)
		return n * int64(os.Getpagesize())
	}
	return 0
}

func (r *rig) sleep(d time.Duration) {
	select {
	case <-time.After(d):
	case <-r.ctx.Done():
	}
}

func (r *rig) close() {
	if r.source != nil {
		r.source.kill()
	}
	r.cancel()
	r.killRelay()
	for _, t := range []*tier{r.a, r.b} {
		if t != nil && t.ln != nil {
			t.reopen()
			t.kill()
		}
	}
	if r.log != nil {
		b, _ := os.ReadFile(r.log.Name())
		fmt.Fprintf(r.cfg.Log, "--- %s\n%s", r.peer.Name, b)
		_ = r.log.Close()
	}
	if r.dir != "" {
		_ = os.RemoveAll(r.dir)
	}
}
