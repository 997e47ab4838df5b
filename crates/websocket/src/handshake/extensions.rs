//! The grammar of `Sec-WebSocket-Extensions` (RFC 6455 section 9.1).

/// One element of the list: `name; parameter; parameter=value`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Extension<'h> {
    pub(super) name: &'h str,
    pub(super) params: Vec<(&'h str, Option<&'h str>)>,
}

/// Reads one header value, or returns `None` if it does not follow the grammar.
pub(super) fn parse(value: &str) -> Option<Vec<Extension<'_>>> {
    let mut scanner = Scanner { rest: value };
    let mut extensions = Vec::new();
    loop {
        // Empty elements are allowed in every list of HTTP.
        while scanner.eat(',') {}
        if scanner.rest.is_empty() {
            return Some(extensions);
        }
        extensions.push(scanner.extension()?);
        if !scanner.rest.is_empty() && !scanner.rest.starts_with(',') {
            return None;
        }
    }
}

struct Scanner<'h> {
    rest: &'h str,
}

impl<'h> Scanner<'h> {
    fn extension(&mut self) -> Option<Extension<'h>> {
        let name = self.token()?;
        let mut params = Vec::new();
        while self.eat(';') {
            let name = self.token()?;
            let value = if self.eat('=') { Some(self.value()?) } else { None };
            params.push((name, value));
        }
        Some(Extension { name, params })
    }

    /// A token, in quotes or not. What is in quotes must be a token too, so no escape is needed
    /// and none is understood.
    fn value(&mut self) -> Option<&'h str> {
        if !self.eat('"') {
            return self.token();
        }
        let (quoted, rest) = self.rest.split_once('"')?;
        self.rest = rest;
        self.skip_blanks();
        quoted.bytes().all(is_token).then_some(quoted).filter(|token| !token.is_empty())
    }

    fn token(&mut self) -> Option<&'h str> {
        let length = self.rest.bytes().take_while(|&byte| is_token(byte)).count();
        let (token, rest) = self.rest.split_at(length);
        self.rest = rest;
        self.skip_blanks();
        (!token.is_empty()).then_some(token)
    }

    fn eat(&mut self, wanted: char) -> bool {
        self.skip_blanks();
        let Some(rest) = self.rest.strip_prefix(wanted) else { return false };
        self.rest = rest;
        self.skip_blanks();
        true
    }

    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
    }
}

/// The characters of a token (RFC 9110 section 5.6.2).
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: &str, expected: Option<&str>) {
        let parsed = parse(value).map(|extensions| {
            let one = |extension: &Extension<'_>| {
                let params = extension.params.iter().map(|(name, value)| match value {
                    Some(value) => format!(";{name}={value}"),
                    None => format!(";{name}"),
                });
                format!("{}{}", extension.name, params.collect::<String>())
            };
            extensions.iter().map(one).collect::<Vec<_>>().join(",")
        });
        assert_eq!(parsed.as_deref(), expected, "{value:?}");
    }

    #[test]
    fn follows_the_grammar() {
        check("", Some(""));
        check(" , ,\t", Some(""));
        check("foo", Some("foo"));
        check(" a ; b = c ; d , e ", Some("a;b=c;d,e"));
        check("a;b=\"c\" ;d", Some("a;b=c;d"));
        for malformed in
            ["a b", ";", "a;", "a;;b", "a=b", "a;b=", "a;b=\"\"", "a;b=\"c", "a;b=\"c,d\"", "é", "a\n"]
        {
            check(malformed, None);
        }
    }
}
