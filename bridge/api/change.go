package api

import (
	"encoding/json"
	"io"
	"net/http"
	"time"
)

// maxBody bounds what a request may bring.
const maxBody = 1 << 20

// body reads what a request brings, or answers with why not.
func body(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		refuse(w, http.StatusRequestEntityTooLarge, err.Error())
		return nil, false
	}
	return b, true
}

func (s *Server) addOutput(w http.ResponseWriter, r *http.Request) {
	b, ok := body(w, r)
	if !ok {
		return
	}
	var ask struct {
		URLs []string `json:"urls"`
	}
	if err := json.Unmarshal(b, &ask); err != nil {
		refuse(w, http.StatusBadRequest, "it wants {\"urls\": [\"rtmp://…\"]}, the further ones as backups: "+err.Error())
		return
	}
	id, err := s.cfg.Source.AddOutput(name(r), ask.URLs)
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	s.cfg.Logger.Info("api: output added", "stream", name(r), "id", id, "by", r.RemoteAddr)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(map[string]string{"id": id})
}

// onOutput answers a request about one output.
func (s *Server) onOutput(do func(id string) error, done string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id := r.PathValue("id")
		if err := do(id); err != nil {
			failed(w, err)
			return
		}
		s.cfg.Logger.Info("api: output "+done, "id", id, "by", r.RemoteAddr)
		w.WriteHeader(http.StatusNoContent)
	}
}

// drain takes the relay out of service: {"to": "fairlead://…", "to_rtmp": "rtmp://…", "for_s": 30}, each optional, as is the body.
func (s *Server) drain(w http.ResponseWriter, r *http.Request) {
	b, ok := body(w, r)
	if !ok {
		return
	}
	var ask struct {
		To     string  `json:"to"`
		ToRTMP string  `json:"to_rtmp"`
		ForS   float64 `json:"for_s"`
	}
	if len(b) > 0 {
		if err := json.Unmarshal(b, &ask); err != nil {
			refuse(w, http.StatusBadRequest, "it wants {\"to\": \"fairlead://…\", \"to_rtmp\": \"rtmp://…\", \"for_s\": 30}, or nothing: "+err.Error())
			return
		}
	}
	if ask.ForS < 0 || ask.ForS > 1e6 {
		refuse(w, http.StatusBadRequest, "for_s is no time to move on")
		return
	}
	if err := s.cfg.Source.Drain(time.Duration(ask.ForS*float64(time.Second)), ask.To, ask.ToRTMP); err != nil {
		failed(w, err)
		return
	}
	s.cfg.Logger.Info("api: drain", "to", ask.To, "to_rtmp", ask.ToRTMP, "by", r.RemoteAddr)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	_ = json.NewEncoder(w).Encode(s.cfg.Source.Drained())
}

func (s *Server) getDrain(w http.ResponseWriter, _ *http.Request) { answer(w, s.cfg.Source.Drained()) }

func (s *Server) getConfig(w http.ResponseWriter, _ *http.Request) { answer(w, s.cfg.Source.Config()) }

// onConfig answers a request with a configuration in it, as YAML.
func (s *Server) onConfig(do func(yaml []byte) (Changes, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		b, ok := body(w, r)
		if !ok {
			return
		}
		c, err := do(b)
		if err != nil {
			refuse(w, http.StatusUnprocessableEntity, err.Error())
			return
		}
		answer(w, c)
	}
}
