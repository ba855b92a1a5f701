import java.io.*;
import java.net.*;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.security.*;
import java.security.cert.*;
import java.util.regex.*;
import javax.net.ssl.*;

/** Renews a certificate as monsiaj does. usage: Renew ADDRESS AUTHORITY.pem FILE.p12 PASSWORD NEW.p12 */
public class Renew {
    public static void main(String[] a) throws Exception {
        KeyStore trusted = KeyStore.getInstance(KeyStore.getDefaultType());
        trusted.load(null, null);
        try (InputStream in = new FileInputStream(a[1])) {
            trusted.setCertificateEntry("server", CertificateFactory.getInstance("X.509").generateCertificate(in));
        }
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(trusted);
        KeyStore own = KeyStore.getInstance("PKCS12");
        try (InputStream in = new FileInputStream(a[2])) {
            own.load(in, a[3].toCharArray());
        }
        KeyManagerFactory keys = KeyManagerFactory.getInstance("SunX509");
        keys.init(own, a[3].toCharArray());
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(keys.getKeyManagers(), trust.getTrustManagers(), null);

        HttpsURLConnection post = open(context, a[0] + "/api/cert");
        post.setRequestMethod("POST");
        post.setDoOutput(true);
        post.setRequestProperty("Content-Type", "application/json");
        post.getOutputStream().write("{}".getBytes(StandardCharsets.UTF_8));
        if (post.getResponseCode() != 200) {
            System.out.print(post.getResponseCode() + " " + new String(post.getErrorStream().readAllBytes(), StandardCharsets.UTF_8));
            System.exit(1);
        }
        String answer = new String(post.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        byte[] bundle = open(context, member(answer, "uri")).getInputStream().readAllBytes();
        KeyStore renewed = KeyStore.getInstance("PKCS12");
        renewed.load(new ByteArrayInputStream(bundle), member(answer, "pass").toCharArray());
        X509Certificate certificate = (X509Certificate) renewed.getCertificate(renewed.aliases().nextElement());
        Files.write(Path.of(a[4]), bundle);
        System.out.print("renewed " + certificate.getSubjectX500Principal());
    }

    static HttpsURLConnection open(SSLContext context, String url) throws Exception {
        HttpsURLConnection connection = (HttpsURLConnection) new URL(url).openConnection();
        connection.setSSLSocketFactory(context.getSocketFactory());
        return connection;
    }

    static String member(String json, String name) {
        Matcher found = Pattern.compile("\"" + name + "\":\"([^\"]+)\"").matcher(json);
        if (!found.find()) throw new IllegalArgumentException(json);
        return found.group(1);
    }
}
