package run

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

// ErrScheme is wrapped by every complaint about a scheme.
var ErrScheme = errors.New("run: bad scheme")

//go:embed schemes/*.yaml
var shipped embed.FS

// Scheme is a way to carry the clip across the link: programs, and where media goes in and comes out.
//
// In commands, files and addresses these words stand for values: {near} {far} the sides' addresses, {latency_ms}
// {latency_us} the budget, {dir} a folder of the cell's own, {fairlead} this program, {modules} nginx's module folder,
// {pin} the hash of the key in {dir}/key.pem, which has a certificate in {dir}/cert.pem.
// Each side is a network namespace of its own, so every port is free.
type Scheme struct {
	Name  string `yaml:"name"`  // one word
	Group string `yaml:"group"` // --against takes it for all of its schemes, unless one of them bears the name
	Title string `yaml:"title"` // one line for tables
	Notes string `yaml:"notes"` // what a reader of results should know

	Needs     []string `yaml:"needs"`      // programs
	NeedFiles []string `yaml:"need_files"` // files

	CongestionControl string            `yaml:"congestion_control"` // of kernel TCP, both sides
	Files             map[string]string `yaml:"files"`              // name in {dir} → contents
	Receiver          [][]string        `yaml:"receiver"`           // commands on the far side, started first
	Ready             string            `yaml:"ready"`              // tcp://HOST:PORT on the far side that answers when the receiver is up
	Sender            [][]string        `yaml:"sender"`             // commands on the near side
	MediaIn           string            `yaml:"media_in"`           // from the near side: stdin (of the last sender), udp://HOST:PORT, or rtmp:// to publish to
	Feedback          string            `yaml:"feedback"`           // http://…/feedback on the near side, which the source obeys; empty: it makes the clip as it is
	Encoder           string            `yaml:"encoder"`            // obs (of rtmp://) or belacoder (of a sender that is srt-live-transmit -s:1 -pf:json): what the source obeys
	MediaOut          string            `yaml:"media_out"`          // an address as `bench watch` takes it, on the far side
}

var (
	schemeName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]*$`)
	braces     = regexp.MustCompile(`\{[a-z_]+\}`)
	words      = []string{"{near}", "{far}", "{latency_ms}", "{latency_us}", "{dir}", "{fairlead}", "{modules}", "{pin}"}
)

// ParseScheme reads one YAML document.
func ParseScheme(b []byte) (*Scheme, error) {
	var s Scheme
	if err := yaml.UnmarshalWithOptions(b, &s, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrScheme, err)
	}
	return &s, s.Validate()
}

// Validate names the field that is wrong.
func (s *Scheme) Validate() error {
	bad := func(field, why string) error { return fmt.Errorf("%w %q: %s %s", ErrScheme, s.Name, field, why) }
	switch {
	case !schemeName.MatchString(s.Name):
		return bad("name", "is not one word of a-z, 0-9, . and -")
	case s.MediaIn == "stdin" && len(s.Sender) == 0:
		return bad("sender", "is empty: whose stdin?")
	case s.MediaIn != "stdin" && !strings.HasPrefix(s.MediaIn, "udp://") && !strings.HasPrefix(s.MediaIn, "rtmp://"):
		return bad("media_in", fmt.Sprintf("%q is neither stdin nor udp://HOST:PORT nor rtmp://HOST/APP/KEY", s.MediaIn))
	case s.MediaOut == "" || s.MediaOut == "-":
		return bad("media_out", "is missing")
	case s.Ready != "" && !strings.HasPrefix(s.Ready, "tcp://"):
		return bad("ready", fmt.Sprintf("%q is not tcp://HOST:PORT", s.Ready))
	case s.Feedback != "" && (!strings.HasPrefix(s.Feedback, "http://") || !strings.HasPrefix(s.MediaIn, "udp://")):
		return bad("feedback", fmt.Sprintf("%q is not http://HOST:PORT/…, or media_in is not udp://", s.Feedback))
	case s.Encoder != "" && s.Encoder != obsEncoder && s.Encoder != belacoderEncoder:
		return bad("encoder", fmt.Sprintf("%q is neither %s nor %s", s.Encoder, obsEncoder, belacoderEncoder))
	case s.Encoder != "" && s.Feedback != "":
		return bad("encoder", "and feedback exclude each other")
	case (s.Encoder == obsEncoder) != (s.Encoder != "" && strings.HasPrefix(s.MediaIn, "rtmp://")), s.Encoder == belacoderEncoder && len(s.Sender) == 0:
		return bad("encoder", s.Encoder+" is obs of an rtmp:// media_in, or belacoder of a sender over udp://")
	}
	for name := range s.Files {
		if name != filepath.Base(name) || strings.HasPrefix(name, ".") {
			return bad("files", fmt.Sprintf("%q is not a plain file name", name))
		}
	}
	for _, text := range s.texts() {
		for _, w := range braces.FindAllString(text, -1) {
			if !slices.Contains(words, w) {
				return bad("word", w+" is unknown; there are "+strings.Join(words, " "))
			}
		}
	}
	for _, c := range slices.Concat(s.Receiver, s.Sender) {
		if len(c) == 0 || c[0] == "" {
			return bad("command", "is empty")
		}
	}
	return nil
}

func (s *Scheme) texts() []string {
	out := []string{s.MediaIn, s.MediaOut, s.Ready, s.Feedback}
	for _, c := range slices.Concat(s.Receiver, s.Sender) {
		out = append(out, c...)
	}
	for _, f := range s.Files {
		out = append(out, f)
	}
	return out
}

// Missing says what the scheme needs and is not here; "": nothing.
func (s *Scheme) Missing() string {
	for _, p := range s.Needs {
		if _, err := lookPath(p); err != nil {
			return "program " + p
		}
	}
	r := strings.NewReplacer("{modules}", modules())
	for _, f := range s.NeedFiles {
		if _, err := os.Stat(r.Replace(f)); err != nil {
			return "file " + r.Replace(f)
		}
	}
	return ""
}

// lookPath finds a program, also in the folders for administrators that are not on every user's PATH.
func lookPath(name string) (string, error) {
	p, err := exec.LookPath(name)
	if err == nil || strings.ContainsRune(name, '/') {
		return p, err
	}
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/local/sbin"} {
		if p, e := exec.LookPath(filepath.Join(dir, name)); e == nil {
			return p, nil
		}
	}
	return "", err
}

// modules is nginx's module folder: Debian's, or others in use.
func modules() string {
	for _, dir := range []string{"/usr/lib/nginx/modules", "/usr/lib64/nginx/modules", "/usr/local/nginx/modules"} {
		if _, err := os.Stat(dir); err == nil {
			return dir
		}
	}
	return "/usr/lib/nginx/modules"
}

// Shipped returns the schemes that come with fairlead, by name.
func Shipped() ([]*Scheme, error) {
	names, err := fs.Glob(shipped, "schemes/*.yaml")
	if err != nil {
		return nil, err
	}
	var out []*Scheme
	for _, n := range names {
		b, err := shipped.ReadFile(n)
		if err != nil {
			return nil, err
		}
		s, err := ParseScheme(b)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", n, err)
		}
		out = append(out, s)
	}
	return out, nil
}

// Choose returns the schemes that each word names: a name, else a group, else the path of a YAML file. No word: all shipped.
func Choose(asked []string) ([]*Scheme, error) {
	all, err := Shipped()
	if err != nil || len(asked) == 0 {
		return all, err
	}
	var out []*Scheme
	for _, word := range asked {
		var found []*Scheme
		for _, s := range all {
			if s.Group == word {
				found = append(found, s)
			}
		}
		for _, s := range all {
			if s.Name == word {
				found = []*Scheme{s}
			}
		}
		if found == nil && (strings.HasSuffix(word, ".yaml") || strings.ContainsRune(word, '/')) {
			b, err := os.ReadFile(word)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", ErrScheme, err)
			}
			s, err := ParseScheme(b)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", word, err)
			}
			found = append(found, s)
		}
		if found == nil {
			return nil, fmt.Errorf("%w: %q is neither a scheme, a group nor a YAML file; see fairlead bench list", ErrScheme, word)
		}
		for _, s := range found {
			if !slices.ContainsFunc(out, func(o *Scheme) bool { return o.Name == s.Name }) {
				out = append(out, s)
			}
		}
	}
	return out, nil
}
