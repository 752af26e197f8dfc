// Lumen names colours and converts them between notations.
package main

import (
	"fmt"
	"os"
	"sort"
	"strings"

	"gonda.invalid/modules/fold"
)

var version = "unknown"

// A command takes the arguments after its name.
type command struct {
	about string
	run   func(arguments []string) error
}

var commands map[string]command

func init() {
	commands = map[string]command{
		"hex":        {"show colours as #RRGGBB", hexadecimal},
		"luminance":  {"show how bright colours are, from 0 to 1", luminance},
		"completion": {"write completions for a shell: bash, zsh or fish", completion},
		"version":    {"print the version", func([]string) error { fmt.Println("lumen", version); return nil }},
	}
}

func main() {
	if len(os.Args) < 2 || strings.TrimLeft(os.Args[1], "-") == "help" {
		help()
		return
	}
	command, known := commands[os.Args[1]]
	if !known {
		fmt.Fprintf(os.Stderr, "lumen: no command %q\n", os.Args[1])
		os.Exit(2)
	}
	if err := command.run(os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "lumen:", err)
		os.Exit(1)
	}
}

func names() []string {
	names := make([]string, 0, len(commands))
	for name := range commands {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

func help() {
	fmt.Println("usage: lumen COMMAND [ARGUMENT]...")
	for _, name := range names() {
		for i, line := range fold.Lines(commands[name].about, 60) {
			if i > 0 {
				name = ""
			}
			fmt.Printf("  %-12s%s\n", name, line)
		}
	}
}

func completion(arguments []string) error {
	if len(arguments) != 1 {
		return fmt.Errorf("completion takes the name of one shell")
	}
	words := strings.Join(names(), " ")
	switch arguments[0] {
	case "bash":
		fmt.Printf("complete -W %q lumen\n", words)
	case "zsh":
		fmt.Printf("#compdef lumen\n_arguments '1:command:(%s)'\n", words)
	case "fish":
		fmt.Printf("complete -c lumen -f -n __fish_use_subcommand -a %q\n", words)
	default:
		return fmt.Errorf("no completions for %q", arguments[0])
	}
	return nil
}
