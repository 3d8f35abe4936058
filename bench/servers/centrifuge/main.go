// Centrifuge, the library inside Centrifugo, as small a server as it allows: centrifuge-peer -port PORT -secret SECRET.
//
// Speaks Centrifugo's client protocol itself. Memory broker, or Redis with -redis ADDRESS. GOMAXPROCS is the caller's.
package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"log"
	"net/http"
	"strings"
	"time"

	"github.com/centrifugal/centrifuge"
)

// outboxBytes is what this project's server is given in the same scenarios.
const outboxBytes = 16 << 20

var errToken = errors.New("invalid token")

// verify checks a token (JWT with HS256) and returns its user and when it expires, in seconds since 1970.
func verify(token string, secret []byte) (user string, expires int64, err error) {
	signed, signature, found := cutLast(token, ".")
	if !found {
		return "", 0, errToken
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(signed))
	given, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil || !hmac.Equal(given, mac.Sum(nil)) {
		return "", 0, errToken
	}
	_, payload, _ := strings.Cut(signed, ".")
	text, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return "", 0, errToken
	}
	var claims struct {
		User    string `json:"sub"`
		Expires int64  `json:"exp"`
	}
	if err := json.Unmarshal(text, &claims); err != nil || claims.Expires < time.Now().Unix() {
		return "", 0, errToken
	}
	return claims.User, claims.Expires, nil
}

func cutLast(text, separator string) (before, after string, found bool) {
	at := strings.LastIndex(text, separator)
	if at < 0 {
		return text, "", false
	}
	return text[:at], text[at+1:], true
}

func handle(node *centrifuge.Node, secret []byte, writeDelay time.Duration) {
	node.OnConnecting(func(_ context.Context, event centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		user, expires, err := verify(event.Token, secret)
		if err != nil {
			return centrifuge.ConnectReply{}, centrifuge.DisconnectInvalidToken
		}
		reply := centrifuge.ConnectReply{
			Credentials:       &centrifuge.Credentials{UserID: user, ExpireAt: expires},
			ClientSideRefresh: true,
			WriteDelay:        writeDelay,
		}
		if writeDelay > 0 {
			reply.MaxMessagesInFrame = -1 // 16 of them in each delay would be the limit otherwise
		}
		return reply, nil
	})
	node.OnConnect(func(client *centrifuge.Client) {
		client.OnSubscribe(func(_ centrifuge.SubscribeEvent, callback centrifuge.SubscribeCallback) {
			callback(centrifuge.SubscribeReply{}, nil)
		})
		client.OnPublish(func(_ centrifuge.PublishEvent, callback centrifuge.PublishCallback) {
			callback(centrifuge.PublishReply{}, nil)
		})
	})
}

func useRedis(node *centrifuge.Node, address string) error {
	shard, err := centrifuge.NewRedisShard(node, centrifuge.RedisShardConfig{Address: address})
	if err != nil {
		return err
	}
	broker, err := centrifuge.NewRedisBroker(node, centrifuge.RedisBrokerConfig{Shards: []*centrifuge.RedisShard{shard}})
	if err != nil {
		return err
	}
	node.SetBroker(broker)
	return nil
}

func main() {
	port := flag.String("port", "", "where clients connect on loopback")
	secret := flag.String("secret", "", "secret of the tokens")
	redis := flag.String("redis", "", "HOST:PORT of Redis, empty: memory")
	writeDelay := flag.Duration("write-delay", 0, "how long writes to one connection are joined")
	flag.Parse()
	node, err := centrifuge.New(centrifuge.Config{ClientQueueMaxSize: outboxBytes})
	if err != nil {
		log.Fatal(err)
	}
	if *redis != "" {
		if err := useRedis(node, *redis); err != nil {
			log.Fatal(err)
		}
	}
	handle(node, []byte(*secret), *writeDelay)
	if err := node.Run(); err != nil {
		log.Fatal(err)
	}
	http.Handle("/connection/websocket", centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{
		UseWriteBufferPool: true,
		WriteTimeout:       10 * time.Second,
	}))
	log.Fatal(http.ListenAndServe("127.0.0.1:"+*port, nil))
}
