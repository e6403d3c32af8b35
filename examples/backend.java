/*
 * A backend in Java 11 or later, with junixsocket (that of Debian's package
 * libjunixsocket-java).  It answers every client with one line:
 *
 *	CLASSPATH=/usr/share/java/junixsocket-common.jar \
 *	    java backend.java /tmp/app.sock
 *	fdproxy -l 127.0.0.1:8080 -r /=/tmp/app.sock
 *
 * No public class makes a socket of any descriptor, and a file has no
 * shutdown(2): what is called here is inside junixsocket, and worked with 2.6.
 */
import java.io.*;
import java.lang.reflect.Method;
import java.util.Timer;
import java.util.TimerTask;
import org.newsclub.net.unix.*;

class Backend {
    static final Timer timer = new Timer(true);
    static Method shutdown;

    static void shutdown(FileDescriptor client, int how) {
        try {
            shutdown.invoke(null, client, how);
        } catch (ReflectiveOperationException e) {      // it has gone
        }
    }

    static void serve(FileDescriptor client) throws IOException {
        var patience = new TimerTask() {
            public void run() { shutdown(client, 2); }  // ends the reading
        };
        timer.schedule(patience, 5000);
        try (var in = new FileInputStream(client);
             var out = new FileOutputStream(client)) {
            out.write("Hello from Java.\n".getBytes()); // the body alone
            shutdown(client, 1);                        // its end
            in.transferTo(OutputStream.nullOutputStream()); // what is unread
        } finally {
            patience.cancel();
        }
    }

    // What came over a connection is closed together with it.
    static void receive(AFUNIXSocket conn) {
        try (conn) {
            conn.setAncillaryReceiveBufferSize(64);
            if (conn.getInputStream().read() == -1)
                return;         // a probe: the end without a message
            var fds = conn.getReceivedFileDescriptors();
            if (fds == null || fds.length == 0) // no descriptor was free
                System.err.println("a client was lost");
            else
                serve(fds[0]);
        } catch (IOException e) {       // it has gone
        }
    }

    public static void main(String[] args) throws Exception {
        shutdown = Class.forName("org.newsclub.net.unix.NativeUnixSocket")
            .getDeclaredMethod("shutdown", FileDescriptor.class, int.class);
        shutdown.setAccessible(true);
        var listener = AFUNIXServerSocket.newInstance();
        listener.bind(AFUNIXSocketAddress.of(new File(args[0])), 128);
        while (true) {
            try {
                var conn = listener.accept();
                new Thread(() -> receive(conn)).start();
            } catch (IOException e) {
                System.err.println(e);
                Thread.sleep(100);
            }
        }
    }
}
