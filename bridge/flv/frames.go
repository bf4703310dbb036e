package flv

import "github.com/fairlead-live/fairlead/bridge/media"

// Frames returns the frames of a file, or of what has come of one: each as [Parser.Parse] makes it, of a copy of b.
// The error is ErrStream; frames before it are returned too.
func Frames(b []byte) (out []*media.Frame, err error) {
	var d Demuxer
	var p Parser
	if err := d.Write(b); err != nil {
		return nil, err
	}
	for tag, ok := d.Next(); ok; tag, ok = d.Next() {
		if f := p.Parse(tag.Type, tag.Time, tag.Body); f != nil {
			out = append(out, f)
		}
	}
	return out, d.Err()
}
