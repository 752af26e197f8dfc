//! Go where scripts don't reach the network: whatever a script sets, modules come from gonda's module proxy.

/// Variables that a `go` is given in place of its own, and what the log says about it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Correction {
    /// Names and values.
    pub set: Vec<(&'static str, String)>,
    /// What a script asked for and doesn't get.
    pub note: Option<String>,
}

/// What must change in the environment of a `go` so that it asks gonda's module proxy and nobody else. `proxy` is that
/// proxy's url, `variable` looks one up in the environment that the `go` was started with.
///
/// Of a script's own GOPROXY stays what needs no network: `off`, and folders (`file://`). `go env -w` is without effect
/// in a script (GOENV is `off`), so there is nothing else to look at.
#[must_use]
pub fn correct_go(proxy: &str, variable: impl Fn(&str) -> Option<String>) -> Correction {
    let mut this = Correction::default();
    let asked = variable("GOPROXY").unwrap_or_default();
    let given = closed_list(&asked, proxy);
    if given != asked {
        if !asked.is_empty() {
            this.note = Some(format!(
                "GOPROXY is `{asked}`, but scripts don't reach the network: go gets `{given}`, gonda's module proxy"
            ));
        }
        this.set.push(("GOPROXY", given));
    }
    // Repositories, the credentials for them, and modules that GOPRIVATE keeps from proxies.
    for (name, value) in [("GOVCS", "*:off"), ("GOAUTH", "off"), ("GONOPROXY", "none")] {
        if variable(name).is_none_or(|asked| asked != value) {
            this.set.push((name, value.to_owned()));
        }
    }
    this
}

/// A GOPROXY list in which every entry that needs the network is gonda's proxy, which stands there once.
fn closed_list(asked: &str, proxy: &str) -> String {
    let mut list = String::new();
    let mut has_proxy = false;
    let mut rest = asked;
    while !rest.is_empty() {
        let end = rest.find([',', '|']).unwrap_or(rest.len());
        let (entry, separator) = (rest[..end].trim(), &rest[end..rest.len().min(end + 1)]);
        rest = &rest[end + separator.len()..];
        let local = entry == "off" || entry.starts_with("file://");
        if entry.is_empty() || (!local && std::mem::replace(&mut has_proxy, true)) {
            continue;
        }
        list.push_str(if local { entry } else { proxy });
        list.push_str(separator);
    }
    let list = list.trim_end_matches([',', '|']);
    if list.is_empty() { proxy.to_owned() } else { list.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        let check = |asked: &str, expected: &str| assert_eq!(closed_list(asked, "P"), expected, "{asked}");
        check("", "P");
        check("P", "P");
        check("https://a.invalid,direct", "P");
        check("https://a.invalid|https://b.invalid,off", "P|off");
        check("off", "off");
        check("file:///w/mods", "file:///w/mods");
        check("file:///w/mods, https://a.invalid ,direct", "file:///w/mods,P");
        check("direct", "P");
        check(",,|", "P");
    }

    #[test]
    fn corrections() {
        let check = |variables: &[(&str, &str)], expected: &str| {
            let look = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
            let found = correct_go("P", look);
            let set: Vec<String> = found.set.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let noted = if found.note.is_some() { " (noted)" } else { "" };
            assert_eq!(format!("{}{noted}", set.join(" ")), expected, "{variables:?}");
        };
        let closed = [("GOPROXY", "P"), ("GOVCS", "*:off"), ("GOAUTH", "off"), ("GONOPROXY", "none")];
        check(&closed, "");
        check(&[], "GOPROXY=P GOVCS=*:off GOAUTH=off GONOPROXY=none");
        check(&[&[("GOPROXY", "direct")], &closed[1..]].concat(), "GOPROXY=P (noted)");
        check(&[&closed[..1], &[("GOVCS", "public:git")], &closed[2..]].concat(), "GOVCS=*:off");
    }
}
