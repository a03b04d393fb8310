// linear judges histories of a gate: is there an order of all operations, each at one moment between its call and its
// return, in which a simple gate gives the same answers? The search is porcupine's; only the simple gate is ours.
//
//	linear FILE     one operation a line, JSON: {"conn", "call", "return" (nanoseconds; null: never answered),
//	                "command": ["INCR", "n"], "answer": [":", "5"]}
//
// Exit codes: 0 it is linearizable, 1 it is not (the part that is not, and a picture of it beside FILE), 2 the file makes
// no sense, 3 the search took too long.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"sort"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// patience bounds the search in one part of a history.
const patience = 2 * time.Minute

type line struct {
	Conn    int      `json:"conn"`
	Call    int64    `json:"call"`
	Return  *int64   `json:"return"`
	Command []string `json:"command"`
	Answer  []string `json:"answer"`
}

// command is what was asked of one key or one campaign.
type command struct {
	on   string
	name string
	args []string
}

// answer is what was said to it.
type answer struct {
	known bool
	words []string
}

func main() {
	if len(os.Args) != 2 {
		stop("linear FILE")
	}
	history, err := read(os.Args[1])
	if err != nil {
		stop(err.Error())
	}
	parts := split(history)
	open := 0
	for _, part := range parts {
		model := keyModel
		if first := part[0].Input.(command); first.name[0] == 'G' && strings.HasPrefix(first.name, "GATE.") {
			model = campaignModel(part)
		}
		result, info := porcupine.CheckOperationsVerbose(model, part, patience)
		on := part[0].Input.(command).on
		switch result {
		case porcupine.Unknown:
			fmt.Printf("%s: no verdict on %d operations within %s\n", on, len(part), patience)
			os.Exit(3)
		case porcupine.Illegal:
			picture := os.Args[1] + ".html"
			fmt.Printf("%s: %d operations are not linearizable; see %s\n", on, len(part), picture)
			if err := porcupine.VisualizePath(model, info, picture); err != nil {
				fmt.Printf("no picture: %s\n", err)
			}
			os.Exit(1)
		}
		for _, operation := range part {
			if operation.Return == math.MaxInt64 {
				open++
			}
		}
	}
	fmt.Printf("linearizable: %d operations on %d keys and campaigns, %d of them never answered\n", len(history), len(parts), open)
}

func stop(why string) {
	fmt.Fprintln(os.Stderr, why)
	os.Exit(2)
}

func read(path string) ([]porcupine.Operation, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var history []porcupine.Operation
	lines := bufio.NewScanner(file)
	for number := 1; lines.Scan(); number++ {
		var line line
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return nil, fmt.Errorf("%s:%d: %s", path, number, err)
		}
		if len(line.Command) < 2 || (line.Return == nil) != (line.Answer == nil) {
			return nil, fmt.Errorf("%s:%d: no operation", path, number)
		}
		operation := porcupine.Operation{
			ClientId: line.Conn,
			Input:    command{on: line.Command[1], name: line.Command[0], args: line.Command[2:]},
			Call:     line.Call,
			Output:   answer{known: line.Return != nil, words: line.Answer},
			Return:   math.MaxInt64,
		}
		if line.Return != nil {
			if *line.Return < line.Call {
				return nil, fmt.Errorf("%s:%d: answered before it was asked", path, number)
			}
			operation.Return = *line.Return
		}
		history = append(history, operation)
	}
	if lines.Err() == nil && len(history) == 0 {
		return nil, fmt.Errorf("%s: no operations", path)
	}
	return history, lines.Err()
}

// split takes a history apart by key and campaign: operations on one say nothing of another.
func split(history []porcupine.Operation) [][]porcupine.Operation {
	parts := map[string][]porcupine.Operation{}
	for _, operation := range history {
		on := operation.Input.(command).on
		parts[on] = append(parts[on], operation)
	}
	names := make([]string, 0, len(parts))
	for name := range parts {
		names = append(names, name)
	}
	sort.Strings(names)
	var sorted [][]porcupine.Operation
	for _, name := range names {
		sorted = append(sorted, parts[name])
	}
	return sorted
}
