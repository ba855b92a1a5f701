//! What the browser brings back from the provider, to a port of this machine (RFC 8252, section 7.3).

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::LoginError;

/// The longest head of a request that is read, in bytes.
const HEAD_MAX: usize = 16 << 10;
/// How long a browser may take to send it.
const PATIENCE: Duration = Duration::from_secs(5);

const TAKEN: &str =
    "戻りました。この画面は閉じてかまいません。続きは端末をご覧ください。<br>You may close this page, and go on in the terminal.";
const NOT_TAKEN: &str = "この画面は使われません。端末をご覧ください。<br>This is not the answer that is waited for. See the terminal.";

/// Waits for the provider's code. What does not know the state is nobody's answer, and is not waited less for.
pub async fn code(listener: &TcpListener, state: &str, issuer: &str) -> Result<String, LoginError> {
    loop {
        let (mut stream, _) = listener.accept().await.map_err(LoginError::Listen)?;
        let Ok(Some(head)) = timeout(PATIENCE, head(&mut stream)).await else { continue };
        let answer = judge(&head, state, issuer);
        let (status, told) = if matches!(answer, Some(Ok(_))) { ("200 OK", TAKEN) } else { ("400 Bad Request", NOT_TAKEN) };
        let _ = timeout(PATIENCE, reply(&mut stream, status, told)).await;
        if let Some(answer) = answer {
            return answer;
        }
    }
}

/// The code of an answer, or why there is none; nothing if it is no answer to this sign-in.
fn judge(head: &str, state: &str, issuer: &str) -> Option<Result<String, LoginError>> {
    let target = head.strip_prefix("GET /?")?.split(' ').next()?;
    let mut said = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(target.as_bytes()) {
        if said.insert(name, value).is_some() {
            return None;
        }
    }
    if said.get("state").map(AsRef::as_ref) != Some(state) {
        return None;
    }
    if said.get("iss").is_some_and(|named| named != issuer) {
        return Some(Err(LoginError::Issuer(issuer.to_owned())));
    }
    match (said.get("error"), said.get("code")) {
        (Some(error), _) => {
            let plain = |text: &str| text.chars().filter(|c| !c.is_control()).take(200).collect::<String>();
            let more = said.get("error_description").map(|more| format!(" ({})", plain(more))).unwrap_or_default();
            Some(Err(LoginError::Refused(plain(error) + &more)))
        }
        (None, Some(code)) => Some(Ok(code.to_string())),
        (None, None) => None,
    }
}

async fn head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut buffer = [0; 2_048];
    while head.len() < HEAD_MAX && !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut buffer).await {
            Ok(count) if count > 0 => head.extend_from_slice(&buffer[..count]),
            _ => return None,
        }
    }
    String::from_utf8(head).ok()
}

async fn reply(stream: &mut TcpStream, status: &str, told: &str) -> std::io::Result<()> {
    let page = format!("<!doctype html><html lang=\"ja\"><meta charset=\"utf-8\"><title>tegata</title><p>{told}</p></html>");
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: {}\r\ncache-control: no-store\r\n\
         referrer-policy: no-referrer\r\ncontent-security-policy: default-src 'none'\r\nconnection: close\r\n\r\n",
        page.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(page.as_bytes()).await?;
    stream.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_by_its_state_alone() {
        let told = |target: &str| {
            let head = format!("GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
            judge(&head, "s1", "https://id.example").map(|answer| answer.map_err(|error| error.to_string()))
        };
        let code = |code: &str| Some(Ok(code.to_owned()));
        assert_eq!(told("/?code=a%2Fb&state=s1"), code("a/b"));
        assert_eq!(told("/?code=a&state=s1&iss=https%3A%2F%2Fid.example"), code("a"));
        for strange in [
            "/?code=a&state=s2",
            "/?code=a",
            "/?code=a&state=s1&state=s2",
            "/favicon.ico",
            "/?state=s1",
            "/x?code=a&state=s1",
            "/?error=no",
        ] {
            assert_eq!(told(strange), None, "{strange}");
        }
        let refused = |text: &str| Some(Err(text.to_owned()));
        assert_eq!(told("/?code=a&state=s1&iss=https%3A%2F%2Fother.example"), refused("the answer is not from https://id.example"));
        let said = told("/?error=access_denied&error_description=not%0Atoday&state=s1");
        assert_eq!(said, refused("the provider says no: access_denied (nottoday)"));
    }
}
