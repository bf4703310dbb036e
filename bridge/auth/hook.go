package auth

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// hook asks a program of the operator's over HTTP, in the shape of SRS's on_publish and on_play: POST with JSON; HTTP 200
// with the body 0 or {"code":0} is a yes, everything else a no. When it does not answer in time, open decides.
type hook struct {
	url     string
	timeout time.Duration
	open    bool // failing means yes
	client  *http.Client
}

// hookRequest has SRS's field names (its HTTP callback documentation), and protocol, which is ours.
type hookRequest struct {
	Action   string `json:"action"`
	ClientID string `json:"client_id"`
	IP       string `json:"ip"`
	Vhost    string `json:"vhost"`
	App      string `json:"app"`
	TCURL    string `json:"tcUrl"`
	Stream   string `json:"stream"`
	Param    string `json:"param"`
	Protocol string `json:"protocol"`
}

func (h *hook) check(ctx context.Context, _ time.Time, r *Request) (grant, error) {
	i := strings.LastIndexByte(r.Name, '/')
	q := hookRequest{
		Action: "on_" + r.Action.String(), ClientID: netip.AddrPortFrom(r.Peer.Unmap(), r.PeerPort).String(), IP: r.Peer.Unmap().String(),
		Vhost: "__defaultVhost__", App: r.Name[:max(i, 0)], TCURL: r.TCURL, Stream: r.stream(), Protocol: r.Protocol,
	}
	if r.Query != "" {
		q.Param = "?" + r.Query
	} else if r.Token != "" {
		q.Param = "?token=" + r.Token
	}
	b, err := json.Marshal(q)
	if err != nil {
		return grant{}, deny(HookFailed, "%v", err)
	}
	ctx, cancel := context.WithTimeout(ctx, h.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url, bytes.NewReader(b))
	if err != nil {
		return grant{}, deny(HookFailed, "%v", err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := h.client.Do(req)
	if err != nil {
		return h.failed("%v", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return h.failed("%v", err)
	}
	if resp.StatusCode >= 500 {
		return h.failed("it answered %s", resp.Status)
	}
	if resp.StatusCode != http.StatusOK {
		return grant{}, deny(HookRefused, "%s answered %s", h.url, resp.Status)
	}
	if s := strings.TrimSpace(string(body)); s == "0" {
		return grant{}, nil
	}
	var answer struct {
		Code *int `json:"code"`
	}
	if json.Unmarshal(body, &answer) == nil && answer.Code != nil && *answer.Code == 0 {
		return grant{}, nil
	}
	return grant{}, deny(HookRefused, "%s answered %.80q, which is neither 0 nor {\"code\":0}", h.url, body)
}

func (h *hook) failed(format string, args ...any) (grant, error) {
	if h.open {
		return grant{}, nil
	}
	return grant{}, deny(HookFailed, h.url+": "+format, args...)
}
