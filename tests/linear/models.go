package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/anishathalye/porcupine"
)

// says tells whether what was said fits what the simple gate says. What was never answered fits anything.
func (said answer) says(words ...string) bool {
	if !said.known {
		return true
	}
	if len(said.words) != len(words) {
		return false
	}
	for at, word := range words {
		if said.words[at] != word {
			return false
		}
	}
	return true
}

func describe(input, output interface{}) string {
	asked, said := input.(command), output.(answer)
	text := fmt.Sprintf("%s %s", asked.name, strings.Join(asked.args, " "))
	if !said.known {
		return text + " -> ?"
	}
	return text + " -> " + strings.Join(said.words, " ")
}

// value is a key's; there is none before the first write.
type value struct {
	there bool
	text  string
}

// keyModel is one key with a plain value.
var keyModel = porcupine.Model{
	Init: func() interface{} { return value{} },
	Step: func(state, input, output interface{}) (bool, interface{}) {
		now, asked, said := state.(value), input.(command), output.(answer)
		switch asked.name {
		case "GET":
			if now.there {
				return said.says("$", now.text), now
			}
			return said.says("nil"), now
		case "SET":
			return said.says("+", "OK"), value{true, asked.args[0]}
		case "DEL":
			if now.there {
				return said.says(":", "1"), value{}
			}
			return said.says(":", "0"), value{}
		case "INCR":
			number := int64(0)
			if now.there {
				var err error
				if number, err = strconv.ParseInt(now.text, 10, 64); err != nil {
					return false, now
				}
			}
			text := strconv.FormatInt(number+1, 10)
			return said.says(":", text), value{true, text}
		}
		stop("an unknown command: " + asked.name)
		return false, now
	},
	DescribeOperation: describe,
	DescribeState:     func(state interface{}) string { return fmt.Sprintf("%v", state) },
}

// winners are the users of a campaign in the order of their seats, as ",7,12": seats are given lowest first, nobody
// gives one back.
type winners struct {
	exists bool
	count  int
	users  string
}

func (now winners) seat(user string) int {
	for at, winner := range strings.Split(now.users, ",") {
		if at > 0 && winner == user {
			return at
		}
	}
	return 0
}

// campaignModel is one campaign; its limit is what it was created with.
func campaignModel(part []porcupine.Operation) porcupine.Model {
	limit := 0
	for _, operation := range part {
		if asked := operation.Input.(command); asked.name == "GATE.CREATE" {
			number, err := strconv.Atoi(asked.args[1])
			if err != nil || asked.args[0] != "LIMIT" || (limit > 0 && limit != number) {
				stop("a campaign is created with one LIMIT")
			}
			limit = number
		}
	}
	return porcupine.Model{
		Init: func() interface{} { return winners{} },
		Step: func(state, input, output interface{}) (bool, interface{}) {
			return stepCampaign(limit, state.(winners), input.(command), output.(answer))
		},
		DescribeOperation: describe,
		DescribeState:     func(state interface{}) string { return fmt.Sprintf("%v", state) },
	}
}

func stepCampaign(limit int, now winners, asked command, said answer) (bool, winners) {
	if asked.name == "GATE.CREATE" {
		if now.exists {
			return said.says("+", "EXISTS"), now
		}
		return said.says("+", "CREATED"), winners{exists: true}
	}
	if !now.exists {
		return said.says("-", "NOCAMPAIGN"), now
	}
	left := strconv.Itoa(limit - now.count)
	switch asked.name {
	case "GATE.CLAIM":
		user := asked.args[0]
		if seat := now.seat(user); seat > 0 {
			return said.says("ALREADY", strconv.Itoa(seat), left), now
		}
		if now.count == limit {
			return said.says("SOLDOUT", "0", "0"), now
		}
		next := winners{exists: true, count: now.count + 1, users: now.users + "," + user}
		return said.says("GRANTED", strconv.Itoa(next.count), strconv.Itoa(limit-next.count)), next
	case "GATE.STATUS":
		if seat := now.seat(asked.args[0]); seat > 0 {
			return said.says("GRANTED", strconv.Itoa(seat)), now
		}
		return said.says("NONE"), now
	case "GATE.INFO":
		return said.says("granted", strconv.Itoa(now.count), "remaining", left), now
	}
	stop("an unknown command: " + asked.name)
	return false, now
}
