package show

import (
	"io"

	"github.com/fairlead-live/fairlead/bench/peers"
)

// WritePeers prints rows as a table in Markdown, a line for each link, and below it how the first scheme fares beside the others: see bench/peers.
func WritePeers(w io.Writer, rows []Row) error {
	if len(rows) == 0 {
		return nil
	}
	out := make([]peers.Row, len(rows))
	for i, r := range rows {
		out[i] = peers.Row{
			Link: r.Profile, Scheme: r.Scheme, Media: r.Made, Stall: r.Stall1, Stall02: r.Stall02, P99: r.P99, Wire: r.Ratio, Both: r.Both, Never: r.Never,
		}
	}
	if err := peers.WriteTable(w, out); err != nil {
		return err
	}
	return peers.Write(w, rows[0].Scheme, out)
}
