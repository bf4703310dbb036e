package events

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// SignatureHeader carries "t=UNIX,v1=HEX": HMAC-SHA256 with the webhook's secret over UNIX, a dot and the body.
const SignatureHeader = "Fairlead-Signature"

// Defaults of Webhook. Ours.
const (
	attempts   = 8 // 0, 1, 2, 4 … 64 s: two minutes in all
	firstRetry = time.Second
	answerIn   = 10 * time.Second
)

// Errors of Verify.
var (
	ErrSignature = errors.New("events: the signature is not this body's under this secret")
	ErrOld       = errors.New("events: the signature is too old")
)

// Sign returns the header's value.
func Sign(secret []byte, now time.Time, body []byte) string {
	t := strconv.FormatInt(now.Unix(), 10)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac(secret, t, body))
}

func mac(secret []byte, t string, body []byte) []byte {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte(t))
	h.Write([]byte{'.'})
	h.Write(body)
	return h.Sum(nil)
}

// Verify is the receiver's side: header is what came, and must be at most tolerance old. A clock ahead of ours is as old as one behind.
func Verify(secret []byte, now time.Time, tolerance time.Duration, header string, body []byte) error {
	var t string
	var sums [][]byte
	for part := range strings.SplitSeq(header, ",") {
		k, v, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch k {
		case "t":
			t = v
		case "v1":
			if b, err := hex.DecodeString(v); err == nil && len(sums) < 4 {
				sums = append(sums, b)
			}
		}
	}
	unix, err := strconv.ParseInt(t, 10, 64)
	if err != nil {
		return ErrSignature
	}
	want := mac(secret, t, body)
	for _, s := range sums {
		if hmac.Equal(s, want) {
			if now.Sub(time.Unix(unix, 0)).Abs() > tolerance {
				return ErrOld
			}
			return nil
		}
	}
	return ErrSignature
}

// Webhook posts every event to one URL, in order. An event that is not taken is tried again with longer and longer waits, and given up after two
// minutes; what comes meanwhile waits, and what there is no room for is dropped and counted.
type Webhook struct {
	URL    string
	Secret []byte       // empty: not signed
	Logger *slog.Logger // nil: silent

	Retry  time.Duration // first wait; 0: 1 s
	Client *http.Client  // nil: one that follows no redirects and waits 10 s

	posted, failed, lost atomic.Uint64
}

// WebhookStats are totals.
type WebhookStats struct{ Posted, Failed, Lost uint64 }

// Stats returns a snapshot: events taken, given up, and dropped because too many waited.
func (w *Webhook) Stats() WebhookStats {
	return WebhookStats{w.posted.Load(), w.failed.Load(), w.lost.Load()}
}

// Run posts until ctx ends.
func (w *Webhook) Run(ctx context.Context, b *Bus) error {
	log := w.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	client := w.Client
	if client == nil {
		client = &http.Client{Timeout: answerIn, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	l := b.Listen(0)
	defer l.Close()
	down := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-l.C:
			if e.Type == Lost {
				n, _ := e.Data["events"].(uint64)
				w.lost.Add(n)
			}
			err := w.deliver(ctx, client, &e)
			switch {
			case ctx.Err() != nil:
				return nil
			case err != nil:
				w.failed.Add(1)
				if !down {
					log.Warn("webhook: an event was given up", "type", string(e.Type), "id", e.ID, "err", err)
				}
				down = true
			default:
				w.posted.Add(1)
				if down {
					log.Info("webhook: events are taken again")
				}
				down = false
			}
		}
	}
}

// deliver tries until the event is taken, refused for good, or there is no more patience.
func (w *Webhook) deliver(ctx context.Context, client *http.Client, e *Event) error {
	body, err := json.Marshal(e)
	if err != nil {
		return err
	}
	wait := w.Retry
	if wait == 0 {
		wait = firstRetry
	}
	for i := range attempts {
		var again bool
		if again, err = w.post(ctx, client, e, body); err == nil || !again || i == attempts-1 {
			return err
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		}
		wait *= 2
	}
	return err
}

func (w *Webhook) post(ctx context.Context, client *http.Client, e *Event, body []byte) (again bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(body))
	if err != nil {
		return false, errors.New("events: the webhook's URL cannot be asked")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "fairlead")
	req.Header.Set("Fairlead-Event", string(e.Type))
	req.Header.Set("Fairlead-Delivery", strconv.FormatUint(e.ID, 10))
	if len(w.Secret) > 0 {
		req.Header.Set(SignatureHeader, Sign(w.Secret, time.Now(), body)) // each attempt has its own time
	}
	res, err := client.Do(req)
	if err != nil {
		return true, errors.New("events: the webhook does not answer") // its URL, which may hold a secret, is in err
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10))
	switch {
	case res.StatusCode/100 == 2:
		return false, nil
	case res.StatusCode == http.StatusTooManyRequests || res.StatusCode/100 == 5 || res.StatusCode == http.StatusRequestTimeout:
		return true, fmt.Errorf("events: the webhook answers %d", res.StatusCode)
	}
	return false, fmt.Errorf("events: the webhook answers %d", res.StatusCode)
}
