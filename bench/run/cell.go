package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/fairlead-live/fairlead/bench/emu"
	"github.com/fairlead-live/fairlead/bench/report"
	"github.com/fairlead-live/fairlead/bench/watch"
	"github.com/fairlead-live/fairlead/bridge/media"
)

// Times of a cell, ours.
const (
	readyWait = 5 * time.Second        // for a receiver to listen
	settle    = time.Second            // from the link's start, when senders start, to the first frame
	runOut    = 500 * time.Millisecond // of clip that is sent behind the scored part, so that its last frame is pushed out
	retry     = 100 * time.Millisecond // between attempts to read the stream
)

// cell is one scheme over one link.
type cell struct {
	scheme  *Scheme
	profile Profile
	seed    uint64

	clip    *Clip
	media   time.Duration // of the clip that is scored
	latency time.Duration

	pair      *emu.Pair
	dir       string
	words     *strings.Replacer
	processes []*process
	stdin     io.WriteCloser // of the last sender
	backlog   *backlog       // what writes to it
	follower  *follower      // nil: the clip is sent as it is
	recorder  *recorder      // with follower
	libsrt    *libsrt        // what the last sender says of itself, for belacoder's rule

	wg         sync.WaitGroup // of what run starts
	publishing error          // of our own publisher; readable after wg
}

// run plays the cell and scores it. A program's failure is in the report's Error, with the score of what came; the error
// returned is that the cell could not be run at all, or ctx ended.
func (c *cell) run(ctx context.Context, control *control) (*report.Cell, error) {
	defer c.stop()
	if err := c.prepare(ctx); err != nil {
		return nil, fmt.Errorf("%s over %s: %w", c.scheme.Name, c.profile.Name, err)
	}
	c.pair.Restart(c.seed)
	if c.scheme.Encoder == belacoderEncoder {
		c.libsrt = &libsrt{}
	}
	for i, command := range c.scheme.Sender {
		if err := c.start(emu.Near, command, c.scheme.MediaIn == "stdin" && i == len(c.scheme.Sender)-1); err != nil {
			return nil, fmt.Errorf("%s: %w", c.scheme.Name, err)
		}
	}
	start := time.Now().Add(settle)
	source := slices.Clone(c.clip.upTo(c.media)) // its own: a follower makes key frames of its own
	rec := newRecorder(start, source, c.clip)
	if c.scheme.Feedback != "" || c.scheme.Encoder != "" {
		c.follower = newFollower(c.clip)
		rec.follower, c.recorder = c.follower, rec
	}
	reading, stopReading := context.WithCancel(ctx)
	c.wg.Go(func() { c.read(reading, rec) })
	c.wg.Go(func() { rec.sample(reading, c.pair) })
	if c.libsrt != nil {
		c.wg.Go(func() { c.follower.belacoder(reading, c.libsrt, c.latency) })
	}
	if c.scheme.Feedback != "" {
		c.wg.Go(func() { c.follower.listen(reading, c.pair, c.words.Replace(c.scheme.Feedback)) })
	}
	defer c.wg.Wait()
	defer stopReading()

	late, err := c.send(reading, start)
	if err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	// What a 3 s player could still show in time, and a second for what is late.
	end := start.Add(c.media + c.latency + 3*time.Second + time.Second)
	select {
	case <-rec.complete:
		// Bytes on the way are on the wire and not yet media that came out: what waits longest would pay most for it.
		select {
		case <-rec.drained:
		case <-time.After(min(2*runOut, time.Until(end))):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	case <-time.After(time.Until(end)):
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	failed := c.failure()
	up, down := c.pair.Counters()
	stopReading()
	c.wg.Wait()
	failure := errors.Join(err, failed, c.publishing)

	out := &report.Cell{Profile: c.profile.Name, Scheme: c.scheme.Name, Seed: c.seed, Up: wireOf(up), Down: wireOf(down)}
	if failure != nil {
		out.Error = failure.Error()
	}
	rec.finish(out, end.Sub(start), c)
	out.Control = control.between(start, time.Now())
	out.Noisy = noise(out, late)
	return out, nil
}

// prepare makes the link and starts what receives.
func (c *cell) prepare(ctx context.Context) (err error) {
	if c.pair, err = emu.NewPair(emu.Config{Up: c.profile.Up, Down: c.profile.Down, Seed: c.seed}); err != nil {
		return err
	}
	if err := c.congestionControl(); err != nil {
		return err
	}
	if c.dir, err = os.MkdirTemp("", fmt.Sprintf("%s%d-", folderPrefix, os.Getpid())); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	pin, err := writeCertificate(c.dir)
	if err != nil {
		return err
	}
	c.words = strings.NewReplacer(
		"{near}", c.pair.Addr(emu.Near).String(), "{far}", c.pair.Addr(emu.Far).String(),
		"{latency_ms}", strconv.FormatInt(c.latency.Milliseconds(), 10),
		"{latency_us}", strconv.FormatInt(c.latency.Microseconds(), 10),
		"{dir}", c.dir, "{fairlead}", self, "{modules}", modules(), "{pin}", pin,
	)
	for name, text := range c.scheme.Files {
		if err := os.WriteFile(filepath.Join(c.dir, name), []byte(c.words.Replace(text)), 0o600); err != nil {
			return err
		}
	}
	for _, command := range c.scheme.Receiver {
		if err := c.start(emu.Far, command, false); err != nil {
			return err
		}
	}
	return c.ready(ctx)
}

// ready waits until the receiver answers.
func (c *cell) ready(ctx context.Context) error {
	host, ok := strings.CutPrefix(c.words.Replace(c.scheme.Ready), "tcp://")
	if !ok {
		return nil
	}
	for give := time.Now().Add(readyWait); ; {
		conn, err := c.far().Dial(ctx, "tcp", host)
		if err == nil {
			return conn.Close()
		}
		if failed := c.failure(); failed != nil {
			return failed
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if time.Now().After(give) {
			return fmt.Errorf("the receiver does not listen on %s after %v: %w", host, readyWait, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (c *cell) start(side emu.Side, command []string, feeds bool) error {
	args := make([]string, len(command))
	for i, a := range command {
		args[i] = c.words.Replace(a)
	}
	path, err := lookPath(args[0])
	if err != nil {
		return err
	}
	cmd := c.pair.Command(side, path, args[1:]...)
	cmd.Dir = c.dir
	if feeds {
		if c.stdin, err = cmd.StdinPipe(); err != nil {
			return err
		}
	}
	if side == emu.Near && c.libsrt != nil {
		cmd.Stdout = c.libsrt
	}
	p, err := startProcess(filepath.Base(path), cmd)
	if err != nil {
		return err
	}
	c.processes = append(c.processes, p)
	return nil
}

// read takes the stream where it comes out, again and again until ctx ends.
func (c *cell) read(ctx context.Context, rec *recorder) {
	address := c.words.Replace(c.scheme.MediaOut)
	for ctx.Err() == nil {
		_ = watch.Read(ctx, address, c.far(), func(f *media.Frame) { rec.frame(f) })
		select {
		case <-ctx.Done():
		case <-time.After(retry):
		}
	}
}

// failure is what programs that ended by themselves say.
func (c *cell) failure() error {
	var all []error
	for _, p := range c.processes {
		all = append(all, p.failure())
	}
	return errors.Join(all...)
}

// stop ends everything the cell started.
func (c *cell) stop() {
	for i := len(c.processes) - 1; i >= 0; i-- {
		c.processes[i].stop()
	}
	c.processes = nil
	if c.backlog != nil {
		<-c.backlog.done // nobody reads any more
		c.backlog = nil
	}
	if c.pair != nil {
		_ = c.pair.Close() // its error is about verdicts, which nobody asked for
		c.pair = nil
	}
	if c.dir != "" {
		_ = os.RemoveAll(c.dir)
		c.dir = ""
	}
}
