package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/fairlead-live/fairlead/bridge/config"
)

// described is a sub-command as its own help tells it.
type described struct {
	name, about, synopsis string
	words                 []config.Word
}

// describeAll asks every sub-command for its settings; bench has sub-commands and flags of its own, which its help lists.
func describeAll(ctx context.Context) []described {
	var all []described
	for _, c := range commands() {
		d := described{name: c.name, about: c.about}
		if c.name != "bench" {
			_ = c.run(ctx, env{stdout: io.Discard, stderr: io.Discard, describe: func(s *config.Set, synopsis string) {
				d.synopsis, d.words = synopsis, s.Words()
			}})
		}
		all = append(all, d)
	}
	return all
}

func runMan(ctx context.Context, e env) error {
	if _, err := parse(e, config.NewSet("man"), "fairlead man: the manual page; fairlead man | man -l - shows it."); err != nil {
		return err
	}
	var b strings.Builder
	b.WriteString(".TH FAIRLEAD 1 \"\" \"fairlead\" \"User Commands\"\n.SH NAME\nfairlead \\- carries live video from a bad network to a good one\n.SH SYNOPSIS\n.B fairlead\n.I COMMAND\n[\\fISETTINGS\\fR]\n.SH DESCRIPTION\n")
	b.WriteString(roff("A relay takes live streams over SRT, QUIC and RTMP, repairs what a lossy uplink took from them, and hands them to players and CDN tiers over HTTP-FLV, MPEG-TS and RTMP. The same program pushes, shows itself in a demo, and measures.") + "\n")
	b.WriteString(roff("A setting has one word: --srt-latency on the command line, "+config.EnvPrefix+"SRT_LATENCY in the environment, srt-latency in the YAML file that --config names. The command line wins over the environment, that over the file.") + "\n.SH COMMANDS\n")
	for _, d := range describeAll(ctx) {
		fmt.Fprintf(&b, ".SS fairlead %s\n", d.name)
		synopsis := d.synopsis
		if synopsis == "" {
			synopsis = d.about + "; fairlead " + d.name + " help lists its own commands."
		}
		for line := range strings.SplitSeq(strings.TrimSpace(synopsis), "\n") {
			b.WriteString(roff(line) + "\n.br\n")
		}
		for _, w := range d.words {
			name := "\\fB\\-\\-" + strings.ReplaceAll(w.Name, "-", "\\-") + "\\fR"
			if w.Unit != "" {
				name += " \\fI" + roff(strings.ToUpper(w.Unit)) + "\\fR"
			}
			text := w.Usage
			if w.Default != "" && w.Default != "false" && w.Default != "0" && w.Default != "0s" {
				text += " (default " + w.Default + ")"
			}
			fmt.Fprintf(&b, ".TP\n%s\n%s\n", name, roff(text))
		}
	}
	b.WriteString(".SH SIGNALS\nSIGHUP makes a relay read its file again; SIGTERM and SIGINT end it, after \\-\\-drain.\n.SH EXIT STATUS\n0: done. 1: it ran and something went wrong. 2: it was asked for something it cannot do. fairlead push \\-\\-help lists its own.\n")
	_, err := io.WriteString(e.stdout, b.String())
	return err
}

// roff escapes a line of text for man(7).
func roff(s string) string {
	s = strings.NewReplacer("\\", "\\e", "-", "\\-").Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = "\\&" + s
	}
	return s
}

func runCompletion(ctx context.Context, e env) error {
	rest, err := parse(e, config.NewSet("completion"), "fairlead completion SHELL: completion for bash, zsh or fish, to be read by the shell:\n  source <(fairlead completion bash)\n  fairlead completion zsh > \"${fpath[1]}/_fairlead\"\n  fairlead completion fish > ~/.config/fish/completions/fairlead.fish")
	if err != nil {
		return err
	}
	shells := map[string]func(io.Writer, []described){"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion}
	if len(rest) != 1 || shells[rest[0]] == nil {
		return fmt.Errorf("%w: fairlead completion wants one of bash, zsh, fish", config.ErrUsage)
	}
	shells[rest[0]](e.stdout, describeAll(ctx))
	return nil
}

// benchCommands are bench's own; a test compares them with its help.
var benchCommands = []string{"list", "link", "run", "watch", "sim", "cc", "continuity", "gate", "limit", "selftest"}

func names(all []described) string {
	var out []string
	for _, d := range all {
		out = append(out, d.name)
	}
	return strings.Join(out, " ")
}

func flags(d described) string {
	out := []string{"--help"}
	for _, w := range d.words {
		out = append(out, "--"+w.Name)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// more is what stands behind a command where no flag does.
func more(name string) string {
	switch name {
	case "completion":
		return "bash zsh fish"
	case "bench":
		return strings.Join(benchCommands, " ")
	case "relay":
		return "token"
	}
	return ""
}

func bashCompletion(w io.Writer, all []described) {
	fmt.Fprintf(w, "# bash completion of fairlead\n_fairlead() {\n\tlocal cur=${COMP_WORDS[COMP_CWORD]}\n\tif [ \"$COMP_CWORD\" -eq 1 ]; then\n\t\tCOMPREPLY=($(compgen -W '%s help' -- \"$cur\"))\n\t\treturn\n\tfi\n\tcase ${COMP_WORDS[1]} in\n", names(all))
	for _, d := range all {
		fmt.Fprintf(w, "\t%s)\n\t\tcase $cur in\n\t\t-*) COMPREPLY=($(compgen -W '%s' -- \"$cur\")) ;;\n\t\t*) COMPREPLY=($(compgen -W '%s' -- \"$cur\") $(compgen -f -- \"$cur\")) ;;\n\t\tesac ;;\n", d.name, flags(d), more(d.name))
	}
	fmt.Fprint(w, "\tesac\n}\ncomplete -o filenames -F _fairlead fairlead\n")
}

func zshCompletion(w io.Writer, all []described) {
	fmt.Fprint(w, "#compdef fairlead\n_fairlead() {\n\tlocal -a commands\n\tcommands=(\n")
	for _, d := range all {
		fmt.Fprintf(w, "\t\t'%s:%s'\n", d.name, strings.ReplaceAll(d.about, "'", "'\\''"))
	}
	fmt.Fprint(w, "\t)\n\tif (( CURRENT == 2 )); then\n\t\t_describe command commands\n\t\treturn\n\tfi\n\tcase $words[2] in\n")
	for _, d := range all {
		fmt.Fprintf(w, "\t%s) compadd -- %s %s; _files ;;\n", d.name, flags(d), more(d.name))
	}
	fmt.Fprint(w, "\tesac\n}\n_fairlead \"$@\"\n")
}

func fishCompletion(w io.Writer, all []described) {
	quote := func(s string) string { return "'" + strings.NewReplacer("\\", "\\\\", "'", "\\'").Replace(s) + "'" }
	for _, d := range all {
		fmt.Fprintf(w, "complete -c fairlead -n __fish_use_subcommand -f -a %s -d %s\n", d.name, quote(d.about))
		for _, word := range d.words {
			needs := " -r"
			if word.Switch {
				needs = ""
			}
			fmt.Fprintf(w, "complete -c fairlead -n '__fish_seen_subcommand_from %s' -l %s%s -d %s\n", d.name, word.Name, needs, quote(word.Usage))
		}
		if m := more(d.name); m != "" {
			fmt.Fprintf(w, "complete -c fairlead -n '__fish_seen_subcommand_from %s' -f -a %s\n", d.name, quote(m))
		}
	}
}
