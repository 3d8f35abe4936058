// Holds one stock client of Socket.IO for Go; options, events and calls are those of ../socket_io.mjs.
package main

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/zishang520/socket.io/clients/engine/v3/transports"
	"github.com/zishang520/socket.io/clients/socket/v3"
	"github.com/zishang520/socket.io/v3/pkg/types"
)

const ackTimeout = 5 * time.Second

type options struct {
	URL        string   `json:"url"`
	Transports []string `json:"transports"`
	Sockets    []struct {
		Namespace string         `json:"namespace"`
		Auth      map[string]any `json:"auth"`
	} `json:"sockets"`
}

type call struct {
	ID     int    `json:"id"`
	Do     string `json:"do"`
	Socket int    `json:"socket"`
	Event  string `json:"event"`
	Args   []any  `json:"args"`
}

type fields map[string]any

var output sync.Mutex

func write(object fields) {
	line, err := json.Marshal(object)
	if err != nil {
		panic(err)
	}
	output.Lock()
	defer output.Unlock()
	os.Stdout.Write(append(line, '\n'))
}

func encoded(value any) any {
	switch value := value.(type) {
	case []byte:
		return fields{"base64": base64.StdEncoding.EncodeToString(value)}
	case io.Reader:
		data, err := io.ReadAll(value)
		if err != nil {
			panic(err)
		}
		return fields{"base64": base64.StdEncoding.EncodeToString(data)}
	case []any:
		return allEncoded(value)
	case map[string]any:
		mapped := fields{}
		for key, each := range value {
			mapped[key] = encoded(each)
		}
		return mapped
	}
	return value
}

func allEncoded(values []any) []any {
	mapped := []any{}
	for _, each := range values {
		mapped = append(mapped, encoded(each))
	}
	return mapped
}

func decoded(value any) any {
	switch value := value.(type) {
	case []any:
		return allDecoded(value)
	case map[string]any:
		if text, ok := value["base64"].(string); ok {
			data, err := base64.StdEncoding.DecodeString(text)
			if err != nil {
				panic(err)
			}
			return data
		}
		mapped := map[string]any{}
		for key, each := range value {
			mapped[key] = decoded(each)
		}
		return mapped
	}
	return value
}

func allDecoded(values []any) []any {
	mapped := []any{}
	for _, each := range values {
		mapped = append(mapped, decoded(each))
	}
	return mapped
}

func listen(number int, made *socket.Socket) {
	made.On("connect", func(...any) {
		write(fields{"event": "connect", "socket": number, "id": made.Id(), "recovered": made.Recovered()})
	})
	made.On("disconnect", func(args ...any) {
		write(fields{"event": "disconnect", "socket": number, "reason": args[0]})
	})
	made.On("connect_error", func(args ...any) {
		message, data := fmt.Sprint(args[0]), any(nil)
		if failure, ok := args[0].(error); ok {
			var extended *types.ExtendedError
			if errors.As(failure, &extended) {
				message, data = extended.Message, extended.Data
			}
		}
		write(fields{"event": "connect_error", "socket": number, "message": message, "data": data})
	})
	made.OnAny(func(args ...any) {
		rest := args[1:]
		acknowledge, asks := args[len(args)-1].(func([]any, error))
		if asks {
			rest = rest[:len(rest)-1]
		}
		write(fields{"event": "event", "socket": number, "name": args[0], "args": allEncoded(rest)})
		if asks {
			acknowledge(rest, nil)
		}
	})
}

func handle(sockets []*socket.Socket, asked call) {
	chosen := sockets[asked.Socket]
	answer := func(result any) { write(fields{"id": asked.ID, "result": result}) }
	switch asked.Do {
	case "send":
		if err := chosen.Emit(asked.Event, allDecoded(asked.Args)...); err != nil {
			panic(err)
		}
		answer(nil)
	case "emit":
		chosen.Timeout(ackTimeout).EmitWithAck(asked.Event, allDecoded(asked.Args)...)(func(args []any, err error) {
			if err != nil {
				write(fields{"id": asked.ID, "error": err.Error()})
			} else {
				answer(allEncoded(args))
			}
		})
	case "transport":
		answer(chosen.Io().Engine().Transport().Name())
	case "disconnect":
		chosen.Disconnect()
		answer(nil)
	default:
		write(fields{"id": asked.ID, "error": "unknown call"})
	}
}

func main() {
	var given options
	if err := json.Unmarshal([]byte(os.Args[1]), &given); err != nil {
		panic(err)
	}
	known := map[string]transports.TransportCtor{"polling": transports.Polling, "websocket": transports.WebSocket}
	chosen := types.NewSet[transports.TransportCtor]()
	for _, name := range given.Transports {
		chosen.Add(known[name])
	}
	shared := socket.DefaultManagerOptions()
	shared.SetTransports(chosen)
	shared.SetReconnectionDelay(50)
	shared.SetReconnectionDelayMax(200)
	shared.SetAutoConnect(false)
	manager := socket.NewManager(given.URL, shared)
	var sockets []*socket.Socket
	for number, each := range given.Sockets {
		its := socket.DefaultSocketOptions()
		its.SetAuth(each.Auth)
		made := manager.Socket(each.Namespace, its)
		listen(number, made)
		sockets = append(sockets, made)
	}
	for _, each := range sockets {
		each.Connect()
	}
	input := bufio.NewScanner(os.Stdin)
	input.Buffer(nil, 1<<24)
	for input.Scan() {
		var asked call
		if err := json.Unmarshal(input.Bytes(), &asked); err != nil {
			panic(err)
		}
		handle(sockets, asked)
	}
}
