package relay

import (
	"fmt"
	"io"
	"os"

	"github.com/fairlead-live/fairlead/bridge/flv"
	"github.com/fairlead-live/fairlead/bridge/hub"
)

// slateFile bounds what is read of a slate's file; what is kept is bounded by the hub.
const slateFile = 32 << 20

// loadSlate reads an FLV file; an empty name is no slate.
func loadSlate(name string) (*hub.Slate, error) {
	if name == "" {
		return nil, nil
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, slateFile+1))
	if err != nil {
		return nil, err
	}
	if len(b) > slateFile {
		return nil, fmt.Errorf("%s: more than %d bytes", name, slateFile)
	}
	frames, err := flv.Frames(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	slate, err := hub.NewSlate(frames)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return slate, nil
}
