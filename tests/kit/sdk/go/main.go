// Holds N stock clients of the Go SDK; options, events and calls are those of ../clients.mjs.
package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/centrifugal/centrifuge-go"
)

const callTimeout = 10 * time.Second

type channel struct {
	Name        string `json:"name"`
	Recoverable bool   `json:"recoverable"`
	JoinLeave   bool   `json:"joinLeave"`
	Token       string `json:"token"`
	AskToken    bool   `json:"askToken"`
}

type options struct {
	Endpoints         []string  `json:"endpoints"`
	Clients           int       `json:"clients"`
	Channels          []channel `json:"channels"`
	Tokens            []string  `json:"tokens"`
	AskTokens         bool      `json:"askTokens"`
	MinReconnectDelay float64   `json:"minReconnectDelay"`
	MaxReconnectDelay float64   `json:"maxReconnectDelay"`
	ConnectsPerSecond float64   `json:"connectsPerSecond"`
	Protobuf          bool      `json:"protobuf"`
}

type call struct {
	Call   int    `json:"call"`
	Client int    `json:"client"`
	Method string `json:"method"`
	Params struct {
		channel
		Channel string          `json:"channel"`
		Data    json.RawMessage `json:"data"`
		Method  string          `json:"method"`
		Token   string          `json:"token"`
	} `json:"params"`
}

type fields map[string]any

var (
	output  sync.Mutex
	given   options
	clients []*centrifuge.Client
	waiting sync.Map // of chan string, by tokenKey
)

type tokenKey struct {
	client  int
	channel string
}

func write(line fields) {
	text, err := json.Marshal(line)
	if err != nil {
		panic(err)
	}
	output.Lock()
	defer output.Unlock()
	_, _ = os.Stdout.Write(append(text, '\n'))
}

func report(event string, client int, line fields) {
	line["event"], line["client"], line["at"] = event, client, float64(time.Now().UnixMicro())/1e6
	write(line)
}

// askToken asks the parent for a new token; channel is "" for one of the connection.
func askToken(client int, channel string) string {
	answer := make(chan string, 1)
	waiting.Store(tokenKey{client, channel}, answer)
	if channel == "" {
		report("token", client, fields{})
	} else {
		report("subscription_token", client, fields{"channel": channel})
	}
	return <-answer
}

func giveToken(client int, channel, token string) {
	if answer, found := waiting.LoadAndDelete(tokenKey{client, channel}); found {
		answer.(chan string) <- token
	}
}

func fromWire(data []byte) any {
	if json.Valid(data) {
		return json.RawMessage(data)
	}
	return fields{"base64": base64.StdEncoding.EncodeToString(data)}
}

func milliseconds(value float64) time.Duration {
	return time.Duration(value * float64(time.Millisecond))
}

func codeOf(err error) (uint32, string) {
	var answer *centrifuge.Error
	if errors.As(err, &answer) {
		return answer.Code, answer.Message
	}
	return 0, err.Error()
}

func reportError(client int, channel string, err error) {
	code, message := codeOf(err)
	report("error", client, fields{"code": code, "message": message, "channel": channel})
}

func makeClient(index int) *centrifuge.Client {
	config := centrifuge.Config{
		MinReconnectDelay: milliseconds(given.MinReconnectDelay),
		MaxReconnectDelay: milliseconds(given.MaxReconnectDelay),
	}
	if index < len(given.Tokens) {
		config.Token = given.Tokens[index]
	}
	if given.AskTokens {
		config.GetToken = func(centrifuge.ConnectionTokenEvent) (string, error) { return askToken(index, ""), nil }
	}
	make := centrifuge.NewJsonClient
	if given.Protobuf {
		make = centrifuge.NewProtobufClient
	}
	client := make(given.Endpoints[index%len(given.Endpoints)], config)
	client.OnConnecting(func(e centrifuge.ConnectingEvent) {
		report("connecting", index, fields{"code": e.Code, "reason": e.Reason})
	})
	client.OnConnected(func(e centrifuge.ConnectedEvent) { report("connected", index, fields{"id": e.ClientID}) })
	client.OnDisconnected(func(e centrifuge.DisconnectedEvent) {
		report("disconnected", index, fields{"code": e.Code, "reason": e.Reason})
	})
	client.OnError(func(e centrifuge.ErrorEvent) { reportError(index, "", e.Error) })
	reportServerSide(client, index)
	for _, wanted := range given.Channels {
		if err := subscribe(client, index, wanted); err != nil {
			panic(err)
		}
	}
	return client
}

// reportServerSide reports what happens to subscriptions that the server makes.
func reportServerSide(client *centrifuge.Client, index int) {
	client.OnSubscribed(func(e centrifuge.ServerSubscribedEvent) {
		reportSubscribed(index, e.Channel, e.WasRecovering, e.Recovered, e.StreamPosition)
	})
	client.OnUnsubscribed(func(e centrifuge.ServerUnsubscribedEvent) {
		report("unsubscribed", index, fields{"channel": e.Channel, "code": 0, "reason": ""})
	})
	client.OnPublication(func(e centrifuge.ServerPublicationEvent) {
		reportPublication(index, e.Channel, e.Publication)
	})
}

func reportSubscribed(client int, name string, wasRecovering, recovered bool, position *centrifuge.StreamPosition) {
	line := fields{"channel": name, "wasRecovering": wasRecovering, "recovered": recovered, "offset": nil, "epoch": nil}
	if position != nil {
		line["offset"], line["epoch"] = position.Offset, position.Epoch
	}
	report("subscribed", client, line)
}

func reportPublication(client int, name string, publication centrifuge.Publication) {
	line := fields{"channel": name, "data": fromWire(publication.Data), "offset": nil}
	if publication.Offset != 0 {
		line["offset"] = publication.Offset
	}
	report("publication", client, line)
}

func subscribe(client *centrifuge.Client, index int, wanted channel) error {
	if known, found := client.GetSubscription(wanted.Name); found {
		return known.Subscribe()
	}
	config := centrifuge.SubscriptionConfig{
		Recoverable:         wanted.Recoverable,
		JoinLeave:           wanted.JoinLeave,
		Token:               wanted.Token,
		MinResubscribeDelay: milliseconds(given.MinReconnectDelay),
		MaxResubscribeDelay: milliseconds(given.MaxReconnectDelay),
	}
	if wanted.AskToken {
		config.GetToken = func(e centrifuge.SubscriptionTokenEvent) (string, error) {
			return askToken(index, e.Channel), nil
		}
	}
	subscription, err := client.NewSubscription(wanted.Name, config)
	if err != nil {
		return err
	}
	subscription.OnSubscribing(func(e centrifuge.SubscribingEvent) {
		report("subscribing", index, fields{"channel": wanted.Name, "code": e.Code, "reason": e.Reason})
	})
	subscription.OnSubscribed(func(e centrifuge.SubscribedEvent) {
		reportSubscribed(index, wanted.Name, e.WasRecovering, e.Recovered, e.StreamPosition)
	})
	subscription.OnUnsubscribed(func(e centrifuge.UnsubscribedEvent) {
		report("unsubscribed", index, fields{"channel": wanted.Name, "code": e.Code, "reason": e.Reason})
	})
	subscription.OnPublication(func(e centrifuge.PublicationEvent) {
		reportPublication(index, wanted.Name, e.Publication)
	})
	subscription.OnError(func(e centrifuge.SubscriptionErrorEvent) { reportError(index, wanted.Name, e.Error) })
	return subscription.Subscribe()
}

func perform(wanted call) (fields, error) {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	client, params := clients[wanted.Client], wanted.Params
	switch wanted.Method {
	case "connect":
		return fields{}, client.Connect()
	case "disconnect":
		return fields{}, client.Disconnect()
	case "subscribe":
		made := params.channel
		made.Name, made.Token = params.Channel, params.Token
		return fields{}, subscribe(client, wanted.Client, made)
	case "unsubscribe":
		known, found := client.GetSubscription(params.Channel)
		if !found {
			return nil, fmt.Errorf("no subscription to %s", params.Channel)
		}
		return fields{}, known.Unsubscribe()
	case "publish":
		_, err := client.Publish(ctx, params.Channel, params.Data)
		return fields{}, err
	case "rpc":
		answer, err := client.RPC(ctx, params.Method, params.Data)
		return fields{"data": fromWire(answer.Data)}, err
	case "token", "subscription_token":
		giveToken(wanted.Client, params.Channel, params.Token)
		return fields{}, nil
	}
	return nil, fmt.Errorf("no such call: %s", wanted.Method)
}

func take(wanted call) {
	result, err := perform(wanted)
	if err != nil {
		code, message := codeOf(err)
		write(fields{"event": "reply", "call": wanted.Call, "error": fields{"code": code, "message": message}})
		return
	}
	write(fields{"event": "reply", "call": wanted.Call, "result": result})
}

func main() {
	given = options{Clients: 1, MinReconnectDelay: 200, MaxReconnectDelay: 20000}
	if err := json.Unmarshal([]byte(os.Args[1]), &given); err != nil {
		panic(err)
	}
	for index := range given.Clients {
		clients = append(clients, makeClient(index))
	}
	go func() {
		for _, client := range clients {
			_ = client.Connect() // what fails is reported, and tried again
			if given.ConnectsPerSecond > 0 {
				time.Sleep(time.Duration(float64(time.Second) / given.ConnectsPerSecond))
			}
		}
	}()
	input := bufio.NewScanner(os.Stdin)
	input.Buffer(nil, 4*1024*1024)
	for input.Scan() {
		var wanted call
		if err := json.Unmarshal(input.Bytes(), &wanted); err != nil {
			panic(err)
		}
		go take(wanted)
	}
	for _, client := range clients {
		client.Close()
	}
}
