// Holds N stock clients of the Java SDK; options, events and calls are those of ../clients.mjs. It speaks Protobuf alone.
import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonElement;
import com.google.gson.JsonParser;
import com.google.gson.JsonSyntaxException;
import io.github.centrifugal.centrifuge.*;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;

public final class Clients {
    private static final Gson JSON = new GsonBuilder().serializeNulls().disableHtmlEscaping().create();
    private static final PrintStream OUTPUT = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    private static final Map<String, TokenCallback> WAITING = new ConcurrentHashMap<>();
    private static final List<Client> CLIENTS = new ArrayList<>();
    private static Given given;

    private static final class Given {
        List<String> endpoints;
        int clients = 1;
        List<Channel> channels = List.of();
        List<String> tokens = List.of();
        boolean askTokens;
        double minReconnectDelay = 200;
        double maxReconnectDelay = 20000;
        double connectsPerSecond;
    }

    private static final class Channel {
        String name;
        boolean recoverable;
        boolean joinLeave;
        String token = "";
        boolean askToken;
    }

    private static final class Call {
        int call;
        int client;
        String method;
        Params params = new Params();
    }

    private static final class Params {
        String channel = "";
        JsonElement data;
        String method = "";
        String token = "";
        boolean recoverable;
        boolean askToken;
    }

    public static void main(String[] arguments) throws Exception {
        given = JSON.fromJson(arguments[0], Given.class);
        for (int index = 0; index < given.clients; index++) CLIENTS.add(makeClient(index));
        for (int index = 0; index < given.clients; index++) for (Channel wanted : given.channels) subscribe(index, wanted);
        Thread connecting = new Thread(Clients::connectAll);
        connecting.setDaemon(true);
        connecting.start();
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = input.readLine(); line != null; line = input.readLine()) take(JSON.fromJson(line, Call.class));
        for (Client client : CLIENTS) client.disconnect();
        System.exit(0);  // the SDK's executors would go on
    }

    private static void connectAll() {
        for (Client client : CLIENTS) {
            client.connect();
            if (given.connectsPerSecond > 0) pause((long) (1000 / given.connectsPerSecond));
        }
    }

    private static void pause(long milliseconds) {
        try {
            Thread.sleep(milliseconds);
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    // lines

    private static synchronized void write(Map<String, Object> line) {
        OUTPUT.println(JSON.toJson(line));
    }

    private static void report(String event, int client, Object... pairs) {
        Map<String, Object> line = line(pairs);
        line.put("event", event);
        line.put("client", client);
        line.put("at", System.currentTimeMillis() / 1000.0);
        write(line);
    }

    private static Map<String, Object> line(Object... pairs) {
        Map<String, Object> line = new TreeMap<>();
        for (int index = 0; index < pairs.length; index += 2) line.put((String) pairs[index], pairs[index + 1]);
        return line;
    }

    private static Object fromWire(byte[] data) {
        try {
            return JsonParser.parseString(new String(data, StandardCharsets.UTF_8));
        } catch (JsonSyntaxException notJson) {
            return Map.of("base64", Base64.getEncoder().encodeToString(data));
        }
    }

    private static Map<String, Object> errorOf(Throwable error) {
        for (Throwable cause = error; cause != null; cause = cause.getCause()) {
            if (cause instanceof ReplyError answer) return line("code", answer.getCode(), "message", answer.getMessage());
        }
        return line("code", 0, "message", String.valueOf(error));
    }

    private static void reportError(int client, String channel, Throwable error) {
        Map<String, Object> found = errorOf(error);
        report("error", client, "code", found.get("code"), "message", found.get("message"), "channel", channel);
    }

    // clients

    private static Client makeClient(int index) {
        Options options = new Options();
        options.setMinReconnectDelay((int) given.minReconnectDelay);
        options.setMaxReconnectDelay((int) given.maxReconnectDelay);
        if (index < given.tokens.size()) options.setToken(given.tokens.get(index));
        if (given.askTokens) {
            options.setTokenGetter(new ConnectionTokenGetter() {
                @Override
                public void getConnectionToken(ConnectionTokenEvent event, TokenCallback callback) {
                    WAITING.put(index + " ", callback);
                    report("token", index);
                }
            });
        }
        return new Client(given.endpoints.get(index % given.endpoints.size()), options, new ClientEvents(index));
    }

    private static void subscribe(int index, Channel wanted) throws DuplicateSubscriptionException {
        Client client = CLIENTS.get(index);
        Subscription known = client.getSubscription(wanted.name);
        if (known != null) {
            known.subscribe();
            return;
        }
        SubscriptionOptions options = new SubscriptionOptions();
        options.setRecoverable(wanted.recoverable);
        options.setJoinLeave(wanted.joinLeave);
        options.setToken(wanted.token);
        options.setMinResubscribeDelay((int) given.minReconnectDelay);
        options.setMaxResubscribeDelay((int) given.maxReconnectDelay);
        if (wanted.askToken) {
            options.setTokenGetter(new SubscriptionTokenGetter() {
                @Override
                public void getSubscriptionToken(SubscriptionTokenEvent event, TokenCallback callback) {
                    WAITING.put(index + " " + event.getChannel(), callback);
                    report("subscription_token", index, "channel", event.getChannel());
                }
            });
        }
        client.newSubscription(wanted.name, options, new SubscriptionEvents(index)).subscribe();
    }

    // what the SDK tells; server-side subscriptions come to the client's listener

    private static final class ClientEvents extends EventListener {
        private final int index;

        ClientEvents(int index) {
            this.index = index;
        }

        @Override
        public void onConnecting(Client client, ConnectingEvent event) {
            report("connecting", index, "code", event.getCode(), "reason", event.getReason());
        }

        @Override
        public void onConnected(Client client, ConnectedEvent event) {
            report("connected", index, "id", event.getClient());
        }

        @Override
        public void onDisconnected(Client client, DisconnectedEvent event) {
            report("disconnected", index, "code", event.getCode(), "reason", event.getReason());
        }

        @Override
        public void onError(Client client, ErrorEvent event) {
            reportError(index, "", event.getError());
        }

        @Override
        public void onSubscribed(Client client, ServerSubscribedEvent event) {
            reportSubscribed(index, event.getChannel(), event.wasRecovering(), event.getRecovered());
        }

        @Override
        public void onUnsubscribed(Client client, ServerUnsubscribedEvent event) {
            report("unsubscribed", index, "channel", event.getChannel(), "code", 0, "reason", "");
        }

        @Override
        public void onPublication(Client client, ServerPublicationEvent event) {
            reportPublication(index, event.getChannel(), event.getOffset(), event.getData());
        }
    }

    private static final class SubscriptionEvents extends SubscriptionEventListener {
        private final int index;

        SubscriptionEvents(int index) {
            this.index = index;
        }

        @Override
        public void onSubscribing(Subscription made, SubscribingEvent event) {
            report("subscribing", index, "channel", made.getChannel(), "code", event.getCode(), "reason", event.getReason());
        }

        @Override
        public void onSubscribed(Subscription made, SubscribedEvent event) {
            reportSubscribed(index, made.getChannel(), event.wasRecovering(), event.getRecovered());
        }

        @Override
        public void onUnsubscribed(Subscription made, UnsubscribedEvent event) {
            report("unsubscribed", index, "channel", made.getChannel(), "code", event.getCode(), "reason", event.getReason());
        }

        @Override
        public void onPublication(Subscription made, PublicationEvent event) {
            reportPublication(index, made.getChannel(), event.getOffset(), event.getData());
        }

        @Override
        public void onError(Subscription made, SubscriptionErrorEvent event) {
            reportError(index, made.getChannel(), event.getError());
        }
    }

    private static void reportSubscribed(int client, String name, Boolean wasRecovering, Boolean recovered) {
        report("subscribed", client, "channel", name, "wasRecovering", wasRecovering, "recovered", recovered,
            "offset", null, "epoch", null);  // the SDK keeps the position for itself
    }

    private static void reportPublication(int client, String name, long offset, byte[] data) {
        report("publication", client, "channel", name, "offset", offset == 0 ? null : offset, "data", fromWire(data));
    }

    // calls

    private static void take(Call wanted) {
        Client client = CLIENTS.get(wanted.client);
        Params params = wanted.params;
        try {
            switch (wanted.method) {
                case "connect" -> client.connect();
                case "disconnect" -> client.disconnect();
                case "subscribe" -> subscribe(wanted.client, channelOf(params));
                case "unsubscribe" -> client.getSubscription(params.channel).unsubscribe();
                case "token", "subscription_token" -> {
                    TokenCallback callback = WAITING.remove(wanted.client + " " + params.channel);
                    if (callback != null) callback.Done(null, params.token);
                }
                case "publish" -> {
                    client.publish(params.channel, toWire(params.data), (error, result) -> answer(wanted, error, line()));
                    return;
                }
                case "rpc" -> {
                    client.rpc(params.method, toWire(params.data), (error, result) ->
                        answer(wanted, error, error == null ? line("data", fromWire(result.getData())) : line()));
                    return;
                }
                default -> throw new IllegalArgumentException("no such call: " + wanted.method);
            }
            answer(wanted, null, line());
        } catch (DuplicateSubscriptionException | IllegalArgumentException error) {
            answer(wanted, error, line());
        }
    }

    private static Channel channelOf(Params params) {
        Channel channel = new Channel();
        channel.name = params.channel;
        channel.recoverable = params.recoverable;
        channel.token = params.token;
        channel.askToken = params.askToken;
        return channel;
    }

    private static byte[] toWire(JsonElement data) {
        return JSON.toJson(data).getBytes(StandardCharsets.UTF_8);
    }

    private static void answer(Call wanted, Throwable error, Map<String, Object> result) {
        write(error == null
            ? line("event", "reply", "call", wanted.call, "result", result)
            : line("event", "reply", "call", wanted.call, "error", errorOf(error)));
    }
}
