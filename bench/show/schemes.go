package show

import "fmt"

// Schemes are those that come with the package, in the order of the help text.
func Schemes(plans Plans) []Scheme {
	return []Scheme{
		Fairlead("fairlead", "the session over QUIC's socket, one budget", plans, nil),
	}
}

// Choose finds schemes by name.
func Choose(all []Scheme, names []string) (out []Scheme, err error) {
next:
	for _, n := range names {
		for _, s := range all {
			if s.Name == n {
				out = append(out, s)
				continue next
			}
		}
		return nil, fmt.Errorf("show: no scheme %q", n)
	}
	return out, nil
}
