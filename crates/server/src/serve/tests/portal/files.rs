//! The issued file, opened by the programs that people have.

use super::staff::{Clinic, File, SAKURA, run};

async fn checked_by_openssl(clinic: &Clinic, file: &File, legacy: bool) -> String {
    let (path, password) = (file.at().to_str().unwrap(), format!("pass:{}", file.password));
    let mut arguments = vec!["pkcs12", "-in", path, "-passin", &password, "-nodes"];
    if legacy {
        arguments.push("-legacy");
    }
    let (fine, text) = run("openssl", &arguments).await;
    assert!(fine, "{text}");
    assert_eq!(text.matches("BEGIN CERTIFICATE").count(), 3, "own, intermediate, root: {text}");
    assert!(text.contains("BEGIN PRIVATE KEY"), "{text}");
    std::fs::write(clinic.path("bundle.pem"), &text).unwrap();
    text
}

async fn checked_by_others(clinic: &Clinic, file: &File) {
    let (path, database) = (file.at().to_str().unwrap(), clinic.path("nss"));
    std::fs::create_dir_all(&database).unwrap();
    let database = format!("sql:{}", database.display());
    let (fine, text) = run("certutil", &["-N", "-d", &database, "--empty-password"]).await;
    assert!(fine, "{text}");
    let (fine, text) = run("pk12util", &["-i", path, "-d", &database, "-W", &file.password, "-K", ""]).await;
    assert!(fine, "{text}");
    let (_, text) = run("certutil", &["-L", "-d", &database]).await;
    assert!(text.contains("sakura-client1"), "the name that people see: {text}");
    // Java is not everywhere.
    if std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).any(|folder| folder.join("keytool").is_file()) {
        let (fine, text) = run("keytool", &["-list", "-keystore", path, "-storetype", "PKCS12", "-storepass", &file.password]).await;
        assert!(fine && text.contains("PrivateKeyEntry"), "{text}");
    }
}

#[tokio::test]
async fn a_modern_file_opens_everywhere_and_its_certificate_is_verified() {
    let clinic = Clinic::open().await;
    let tanaka = clinic.person("tanaka");
    tanaka.sign_in("tanaka@example.jp").await;
    let file = tanaka.obtain("受付1番").await;
    let text = checked_by_openssl(&clinic, &file, false).await;
    assert!(text.contains("friendlyName: sakura-client1"), "{text}");
    checked_by_others(&clinic, &file).await;
    let page = tanaka.get(&format!("{SAKURA}/certificates")).await;
    let authorities = clinic.curl(&format!("/ca/{}", page.after("href=\"/ca/")), &[]).await;
    std::fs::write(clinic.path("ca.pem"), &authorities.body).unwrap();
    let (ca, bundle) = (clinic.path("ca.pem"), clinic.path("bundle.pem"));
    let (fine, said) =
        run("openssl", &["verify", "-purpose", "sslclient", "-CAfile", ca.to_str().unwrap(), bundle.to_str().unwrap()]).await;
    assert!(fine, "{said}");
    let (_, subject) = run("openssl", &["x509", "-noout", "-subject", "-in", bundle.to_str().unwrap()]).await;
    assert!(subject.contains("CN = client1") && subject.contains("O = uaozora"), "{subject}");
    let wrong = format!("pass:{}x", file.password);
    let (fine, _) = run("openssl", &["pkcs12", "-in", file.at().to_str().unwrap(), "-passin", &wrong, "-nodes"]).await;
    assert!(!fine, "another password opens nothing");
}

#[tokio::test]
async fn a_legacy_file_opens_on_systems_that_read_nothing_newer() {
    let clinic = Clinic::with("validity: 1095d, flavor: legacy, fileName: \"client_{n}.pfx\", friendlyName: \"sakura-{commonName}\"").await;
    let tanaka = clinic.person("tanaka");
    tanaka.sign_in("tanaka@example.jp").await;
    let file = tanaka.obtain("受付1番").await;
    assert_eq!(file.name, "client_1.pfx");
    checked_by_openssl(&clinic, &file, true).await;
    let (_, key) = run("openssl", &["pkey", "-noout", "-text", "-in", clinic.path("bundle.pem").to_str().unwrap()]).await;
    assert!(key.contains("2048 bit"), "{key}");
    checked_by_others(&clinic, &file).await;
}
