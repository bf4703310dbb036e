package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// streamWords are what a stream of the file's tree may say.
var streamWords = []string{"secret", "push"}

// Streams adds the key streams to the file, the tree form of two lists of NAME and NAME=VALUE:
//
//	streams:
//	  live/cam:
//	    secret: SECRET                    # keys gets live/cam=SECRET, without it live/cam
//	    push:
//	    - rtmp://cdn.example/app/key      # pushes gets live/cam=rtmp://…
//	    - [rtmp://a/app/k, rtmp://b/…]    # live/cam=rtmp://a/…|rtmp://b/…
//
// What it says is added to the lists of the same file, and like them gives way to flags and the environment.
func (s *Set) Streams(keys, pushes string) { s.tree = [2]string{keys, pushes} }

// parseStreams reads the tree; set has the words that flags and the environment have decided.
func (s *Set) parseStreams(name string, v ast.Node, set map[string]bool) error {
	streams, err := pairs(v)
	if err != nil {
		return fmt.Errorf("%w: %s: streams: wants APP/KEY: a line each", ErrUsage, name)
	}
	var keys, pushes, seen []string
	for _, p := range streams {
		stream, line := p.Key.GetToken().Value, p.Key.GetToken().Position.Line
		if slices.Contains(seen, stream) {
			return fmt.Errorf("%w: %s:%d: streams: %s stands twice", ErrUsage, name, line, stream)
		}
		seen = append(seen, stream)
		one, to, err := s.parseStream(name, stream, p.Value)
		if err != nil {
			return err
		}
		keys, pushes = append(keys, one), append(pushes, to...)
	}
	for i, more := range [2][]string{keys, pushes} {
		if p := s.lists[s.tree[i]]; !set[s.tree[i]] {
			*p = append(slices.Clip(*p), more...)
		}
	}
	return nil
}

func (s *Set) parseStream(name, stream string, v ast.Node) (key string, pushes []string, err error) {
	words, err := pairs(v)
	if err != nil {
		return "", nil, fmt.Errorf("%w: %s:%d: streams: %s: wants %s", ErrUsage, name, v.GetToken().Position.Line, stream, strings.Join(streamWords, " and "))
	}
	key = stream
	var seen []string
	for _, p := range words {
		word, line := p.Key.GetToken().Value, p.Key.GetToken().Position.Line
		fail := func(why string) error {
			return fmt.Errorf("%w: %s:%d: streams: %s: %s", ErrUsage, name, line, stream, why)
		}
		if slices.Contains(seen, word) {
			return "", nil, fail(word + " stands twice")
		}
		seen = append(seen, word)
		switch word {
		case "secret":
			text, err := scalar(p.Value)
			if err != nil || text == "" {
				return "", nil, fail("secret: wants one value")
			}
			key += "=" + text
		case "push":
			if pushes, err = destinations(stream, p.Value); err != nil {
				return "", nil, fail("push: " + err.Error())
			}
		default:
			return "", nil, fail(fmt.Sprintf("unknown key %q%s", word, suggest(word, "", streamWords)))
		}
	}
	return key, pushes, nil
}

// destinations reads a URL, or a list of URLs and of lists of URLs of which the first that works is taken.
func destinations(stream string, v ast.Node) (out []string, err error) {
	seq, ok := v.(*ast.SequenceNode)
	if !ok {
		text, err := scalar(v)
		if err != nil || text == "" {
			return nil, fmt.Errorf("wants a URL or a list of them")
		}
		return []string{stream + "=" + text}, nil
	}
	for _, item := range seq.Values {
		urls := []ast.Node{item}
		if chain, ok := item.(*ast.SequenceNode); ok {
			urls = chain.Values
		}
		var chain []string
		for _, u := range urls {
			text, err := scalar(u)
			if err != nil || text == "" {
				return nil, fmt.Errorf("wants URLs, or lists of them of which the first that works is taken")
			}
			chain = append(chain, text)
		}
		out = append(out, stream+"="+strings.Join(chain, "|"))
	}
	return out, nil
}

// pairs are the entries of a mapping, none of an empty value.
func pairs(v ast.Node) ([]*ast.MappingValueNode, error) {
	switch v := v.(type) {
	case nil, *ast.NullNode:
		return nil, nil
	case *ast.MappingNode:
		return v.Values, nil
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{v}, nil
	}
	return nil, fmt.Errorf("no mapping")
}
