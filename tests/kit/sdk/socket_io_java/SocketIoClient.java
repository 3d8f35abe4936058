// Holds one stock client of Socket.IO for Java; options, events and calls are those of ../socket_io.mjs.

import io.socket.client.Ack;
import io.socket.client.AckWithTimeout;
import io.socket.client.IO;
import io.socket.client.Manager;
import io.socket.client.Socket;
import io.socket.client.SocketOptionBuilder;
import io.socket.engineio.client.Transport;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.Field;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import org.json.JSONArray;
import org.json.JSONException;
import org.json.JSONObject;

public final class SocketIoClient {
    private static final long ACK_MILLISECONDS = 5000;
    private static final PrintStream OUTPUT = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    private static final List<Socket> sockets = new ArrayList<>();

    private SocketIoClient() {}

    private static synchronized void write(JSONObject object) {
        OUTPUT.println(object);
    }

    private static JSONObject event(String name, int socket) throws JSONException {
        return new JSONObject().put("event", name).put("socket", socket);
    }

    private static Object encoded(Object value) throws JSONException {
        if (value instanceof byte[]) {
            return new JSONObject().put("base64", Base64.getEncoder().encodeToString((byte[]) value));
        }
        if (value instanceof JSONArray) {
            JSONArray mapped = new JSONArray();
            for (int i = 0; i < ((JSONArray) value).length(); i++) {
                mapped.put(encoded(((JSONArray) value).get(i)));
            }
            return mapped;
        }
        if (value instanceof JSONObject) {
            JSONObject mapped = new JSONObject();
            for (Iterator<?> keys = ((JSONObject) value).keys(); keys.hasNext();) {
                String key = (String) keys.next();
                mapped.put(key, encoded(((JSONObject) value).get(key)));
            }
            return mapped;
        }
        return value == null ? JSONObject.NULL : value;
    }

    private static JSONArray encoded(Object[] values) throws JSONException {
        JSONArray mapped = new JSONArray();
        for (Object each : values) {
            mapped.put(encoded(each));
        }
        return mapped;
    }

    private static Object decoded(Object value) throws JSONException {
        if (value instanceof JSONArray) {
            JSONArray mapped = new JSONArray();
            for (Object each : decoded((JSONArray) value)) {
                mapped.put(each);
            }
            return mapped;
        }
        if (value instanceof JSONObject) {
            JSONObject object = (JSONObject) value;
            if (object.has("base64")) {
                return Base64.getDecoder().decode(object.getString("base64"));
            }
            JSONObject mapped = new JSONObject();
            for (Iterator<?> keys = object.keys(); keys.hasNext();) {
                String key = (String) keys.next();
                mapped.put(key, decoded(object.get(key)));
            }
            return mapped;
        }
        return value;
    }

    private static Object[] decoded(JSONArray values) throws JSONException {
        Object[] mapped = new Object[values.length()];
        for (int i = 0; i < mapped.length; i++) {
            mapped[i] = decoded(values.get(i));
        }
        return mapped;
    }

    private interface Report {
        JSONObject of(Object[] args) throws JSONException;
    }

    private static void writeReport(Report report, Object[] args) {
        try {
            write(report.of(args));
        } catch (JSONException error) {
            throw new IllegalStateException(error);
        }
    }

    private static void listen(int number, Socket socket) {
        socket.on(Socket.EVENT_CONNECT, args -> writeReport(
            all -> event("connect", number).put("id", socket.id()).put("recovered", false), args));
        socket.on(Socket.EVENT_DISCONNECT, args -> writeReport(
            all -> event("disconnect", number).put("reason", all[0]), args));
        socket.on(Socket.EVENT_CONNECT_ERROR, args -> writeReport(SocketIoClient::refusal, new Object[] {number, args[0]}));
        socket.onAnyIncoming(args -> {
            Ack acknowledge = args[args.length - 1] instanceof Ack ? (Ack) args[args.length - 1] : null;
            Object[] rest = Arrays.copyOfRange(args, 1, acknowledge == null ? args.length : args.length - 1);
            writeReport(all -> event("event", number).put("name", args[0]).put("args", encoded(all)), rest);
            if (acknowledge != null) {
                acknowledge.call(rest);
            }
        });
    }

    private static JSONObject refusal(Object[] args) throws JSONException {
        JSONObject found = event("connect_error", (Integer) args[0]);
        if (args[1] instanceof JSONObject) {
            JSONObject refused = (JSONObject) args[1];
            Object data = refused.opt("data");
            return found.put("message", refused.getString("message")).put("data", data == null ? JSONObject.NULL : data);
        }
        return found.put("message", String.valueOf(args[1])).put("data", JSONObject.NULL);
    }

    private static void handle(JSONObject call) throws JSONException {
        int id = call.getInt("id");
        Socket socket = sockets.get(call.getInt("socket"));
        JSONObject answer = new JSONObject().put("id", id).put("result", JSONObject.NULL);
        switch (call.getString("do")) {
            case "send":
                socket.emit(call.getString("event"), decoded(call.getJSONArray("args")));
                write(answer);
                break;
            case "emit":
                socket.emit(call.getString("event"), decoded(call.getJSONArray("args")), new AckWithTimeout(ACK_MILLISECONDS) {
                    @Override
                    public void onSuccess(Object... args) {
                        writeReport(all -> new JSONObject().put("id", id).put("result", encoded(all)), args);
                    }

                    @Override
                    public void onTimeout() {
                        writeReport(all -> new JSONObject().put("id", id).put("error", "timeout"), null);
                    }
                });
                break;
            case "transport":
                write(answer.put("result", transport.name));
                break;
            case "disconnect":
                socket.disconnect();
                write(answer);
                break;
            default:
                write(new JSONObject().put("id", id).put("error", "unknown call"));
        }
    }

    private static volatile Transport transport;

    /** Notes the transport: the client tells it when it opens, and the new one when it upgrades. */
    private static void watch(Manager manager) {
        manager.on(Manager.EVENT_TRANSPORT, args -> {
            transport = (Transport) args[0];
            io.socket.engineio.client.Socket engine = engineOf(manager);
            engine.on(io.socket.engineio.client.Socket.EVENT_UPGRADE, upgraded -> transport = (Transport) upgraded[0]);
        });
    }

    private static io.socket.engineio.client.Socket engineOf(Manager manager) {
        try {
            Field field = Manager.class.getDeclaredField("engine");
            field.setAccessible(true);
            return (io.socket.engineio.client.Socket) field.get(manager);
        } catch (ReflectiveOperationException error) {
            throw new IllegalStateException(error);
        }
    }

    private static String[] strings(JSONArray values) throws JSONException {
        String[] mapped = new String[values.length()];
        for (int i = 0; i < mapped.length; i++) {
            mapped[i] = values.getString(i);
        }
        return mapped;
    }

    public static void main(String[] arguments) throws Exception {
        JSONObject options = new JSONObject(arguments[0]);
        JSONArray described = options.getJSONArray("sockets");
        IO.Options shared = SocketOptionBuilder.builder()
            .setTransports(strings(options.getJSONArray("transports")))
            .setReconnectionDelay(50).setReconnectionDelayMax(200).build();
        Manager manager = new Manager(URI.create(options.getString("url")), shared);
        watch(manager);
        for (int i = 0; i < described.length(); i++) {
            JSONObject auth = described.getJSONObject(i).getJSONObject("auth");
            Map<String, String> its = new HashMap<>();
            for (Iterator<?> keys = auth.keys(); keys.hasNext();) {
                String key = (String) keys.next();
                its.put(key, auth.getString(key));
            }
            Socket socket = manager.socket(
                described.getJSONObject(i).getString("namespace"), SocketOptionBuilder.builder().setAuth(its).build());
            sockets.add(socket);
            listen(i, socket);
        }
        sockets.forEach(Socket::connect);
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            handle(new JSONObject(line));
        }
        System.exit(0);
    }
}
