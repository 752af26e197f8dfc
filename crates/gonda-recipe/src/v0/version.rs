//! Versions as conda takes them apart, and the pins that are made of the pieces.

use std::cmp::Ordering;

/// A piece of a version component.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Int(u128),
    Text(String),
    /// `post`: greater than any number.
    Infinity,
}

impl Piece {
    fn text(&self) -> String {
        match self {
            Self::Int(number) => number.to_string(),
            Self::Text(text) => text.clone(),
            Self::Infinity => "inf".to_owned(),
        }
    }

    fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => a.cmp(b),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Infinity, Self::Infinity) => Ordering::Equal,
            // Text is smaller than any number.
            (Self::Text(_), _) | (Self::Int(_), Self::Infinity) => Ordering::Less,
            (_, Self::Text(_)) | (Self::Infinity, Self::Int(_)) => Ordering::Greater,
        }
    }
}

/// A version, as conda's `VersionOrder`.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    /// The epoch, then the components.
    main: Vec<Vec<Piece>>,
    local: Vec<Vec<Piece>>,
}

impl Version {
    /// Parses a version; the error says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut version = text.trim().to_lowercase();
        if version.is_empty() {
            return Err("empty version string".to_owned());
        }
        let valid = |version: &str| {
            version.chars().all(|c| c.is_ascii_digit() || c.is_ascii_lowercase() || "*.+!_".contains(c))
        };
        if !valid(&version) {
            if version.contains('-') && !version.contains('_') {
                version = version.replace('-', "_");
            }
            if !valid(&version) {
                return Err("invalid character(s)".to_owned());
            }
        }
        let mut parts = version.split('!');
        let (epoch, rest) = match (parts.next(), parts.next(), parts.next()) {
            (Some(rest), None, _) => ("0", rest),
            (Some(epoch), Some(rest), None) => (epoch, rest),
            _ => return Err("duplicated epoch separator `!`".to_owned()),
        };
        if epoch.is_empty() || !epoch.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err("the epoch must be an integer".to_owned());
        }
        let mut parts = rest.split('+');
        let (main, local) = match (parts.next(), parts.next(), parts.next()) {
            (Some(main), local, None) => (main, local),
            _ => return Err("duplicated local version separator `+`".to_owned()),
        };
        if main.is_empty() {
            return Err("there is no version before the local version".to_owned());
        }
        // An underscore at the very end stays with the last component.
        let (body, tail) = main.strip_suffix('_').map_or((main, ""), |body| (body, "_"));
        let mut components: Vec<String> = body.split(['_', '.']).map(str::to_owned).collect();
        if let Some(last) = components.last_mut() {
            last.push_str(tail);
        }
        components.insert(0, epoch.to_owned());
        let split = |component: &str| pieces(component);
        Ok(Self {
            main: components.iter().map(|component| split(component)).collect::<Result<_, _>>()?,
            local: match local {
                Some(local) => local.split(['_', '.']).map(split).collect::<Result<_, _>>()?,
                None => Vec::new(),
            },
        })
    }

    fn compare(&self, other: &Self) -> Ordering {
        let zero = Piece::Int(0);
        for (a, b) in [(&self.main, &other.main), (&self.local, &other.local)] {
            for index in 0..a.len().max(b.len()) {
                let (a, b) = (a.get(index).map_or(&[][..], Vec::as_slice), b.get(index).map_or(&[][..], Vec::as_slice));
                for index in 0..a.len().max(b.len()) {
                    let order = a.get(index).unwrap_or(&zero).compare(b.get(index).unwrap_or(&zero));
                    if order != Ordering::Equal {
                        return order;
                    }
                }
            }
        }
        Ordering::Equal
    }
}

/// Orders two texts as versions; texts that are none come first, as text.
pub(crate) fn compare_versions(a: &str, b: &str) -> Ordering {
    match (Version::parse(a), Version::parse(b)) {
        (Ok(a), Ok(b)) => a.compare(&b),
        (Ok(_), Err(_)) => Ordering::Greater,
        (Err(_), Ok(_)) => Ordering::Less,
        (Err(_), Err(_)) => a.cmp(b),
    }
}

/// Runs of digits, of stars, and of anything else.
fn pieces(component: &str) -> Result<Vec<Piece>, String> {
    let class = |c: char| match c {
        '0'..='9' => 0,
        '*' => 1,
        _ => 2,
    };
    let mut pieces = Vec::new();
    let mut rest = component;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c| class(c) != class(first)).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        pieces.push(match run {
            "post" => Piece::Infinity,
            // Upper case sorts before all the others, which are lower case.
            "dev" => Piece::Text("DEV".to_owned()),
            run if class(first) == 0 => Piece::Int(run.parse().map_err(|_| "a number is too large".to_owned())?),
            run => Piece::Text(run.to_owned()),
        });
        rest = after;
    }
    match pieces.first() {
        None => return Err("empty version component".to_owned()),
        // Numbers and text stay in phase: a component begins with a number.
        Some(Piece::Text(_) | Piece::Infinity) => pieces.insert(0, Piece::Int(0)),
        Some(Piece::Int(_)) => {}
    }
    Ok(pieces)
}

/// Bounds for a version by expressions such as `x.x`, as conda-build's `apply_pin_expressions` (utils.py:1519). Only the
/// number of places counts; `None` and the empty text set no bound.
///
/// # Errors
/// A version that is none; a place that can't be counted up (`rc` in `1.0rc1` with `x.x.x`).
pub fn apply_pin(version: &str, min_pin: Option<&str>, max_pin: Option<&str>) -> Result<String, String> {
    let places = |pin: Option<&str>| pin.filter(|pin| !pin.is_empty()).map(|pin| pin.split('.').count());
    let parsed = Version::parse(version)?;
    let components = &parsed.main[1..];
    let last_component = components.len() - 1;
    let flat: Vec<&Piece> = components.iter().flatten().collect();
    // Places are joined by dots, but none follows the place whose number is that of the last component.
    let join = |places: usize, increment: bool| -> Result<String, String> {
        let mut text = String::new();
        for (index, piece) in flat.iter().take(places).enumerate() {
            if increment && index + 1 == places {
                let next = flat[places.min(flat.len() - 1)].text();
                let alphabetic = !next.is_empty() && next.chars().all(char::is_alphabetic);
                text.push_str(&next_place(piece, alphabetic)?);
            } else {
                text.push_str(&piece.text());
            }
            if index != last_component {
                text.push('.');
            }
        }
        if text.ends_with('.') {
            text.pop();
        }
        Ok(text)
    };
    let mut bounds = Vec::new();
    if let Some(places) = places(min_pin) {
        let lower = join(places, false)?;
        let bare = version.strip_suffix(".*").or_else(|| version.strip_suffix('*')).unwrap_or(version);
        let earlier = Version::parse(bare)?.compare(&Version::parse(&lower)?) == Ordering::Less;
        // A pre-release is smaller than its own places: then it bounds itself.
        bounds.push(format!(">={}", if earlier { version } else { &lower }));
    }
    if let Some(places) = places(max_pin) {
        bounds.push(format!("<{}", join(places.min(flat.len()), true)?));
    }
    Ok(bounds.join(","))
}

fn next_place(piece: &Piece, alphabetic: bool) -> Result<String, String> {
    match piece {
        Piece::Int(number) => {
            let next = number.checked_add(1).ok_or("a number is too large")?;
            Ok(format!("{next}{}", if alphabetic { "a" } else { ".0a0" }))
        }
        Piece::Text(text) => {
            let mut chars = text.chars();
            match (chars.next(), chars.next()) {
                (Some(c), None) => Ok(char::from_u32(c as u32 + 1).unwrap_or(c).to_string()),
                _ => Err(format!("`{text}` in the version can't be counted up for an upper bound")),
            }
        }
        Piece::Infinity => Err("`post` in the version can't be counted up for an upper bound".to_owned()),
    }
}

/// Whether a constraint such as `>=1,<2|3.*` is one that conda understands.
pub(crate) fn check_constraint(constraint: &str) -> Result<(), String> {
    if constraint.starts_with([',', '|']) || constraint.ends_with([',', '|']) {
        return Err(format!("invalid version `{constraint}`: nothing follows a `,` or `|`, or stands before it"));
    }
    for part in constraint.split(['|', ',', '(', ')']).map(str::trim).filter(|part| !part.is_empty()) {
        if part.starts_with('^') || part.ends_with('$') {
            if !(part.starts_with('^') && part.ends_with('$')) {
                return Err(format!("invalid version `{part}`: a pattern starts with `^` and ends with `$`"));
            }
            continue;
        }
        if part.starts_with(['=', '<', '>', '!', '~']) {
            let version = ["==", "!=", "<=", ">=", "~=", "=", "<", ">"]
                .iter()
                .find_map(|operator| part.strip_prefix(operator))
                .filter(|version| !version.is_empty() && !version.starts_with(['=', '<', '>', '!', '~']))
                .filter(|version| !version.contains(char::is_whitespace))
                .ok_or_else(|| format!("invalid version `{part}`: invalid operator"))?;
            let version = version.strip_suffix(".*").unwrap_or(version);
            Version::parse(version).map_err(|reason| format!("invalid version `{part}`: {reason}"))?;
            continue;
        }
        let stripped = part.trim_end_matches('*');
        if part == "*" || stripped.contains('*') || part.contains('@') {
            continue;
        }
        let version = if stripped.len() < part.len() { stripped.trim_end_matches('.') } else { part };
        Version::parse(version).map_err(|reason| format!("invalid version `{part}`: {reason}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn places(count: usize) -> String {
        vec!["x"; count].join(".")
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// A pin holds for the version that it is made of, and not for one that is newer in the last place pinned.
        #[test]
        fn a_pin_holds_for_its_version(
            parts in proptest::collection::vec(0_u32..300, 1..6),
            min in 1_usize..7,
            max in 1_usize..7,
        ) {
            let version = parts.iter().map(u32::to_string).collect::<Vec<_>>().join(".");
            let pin = apply_pin(&version, Some(&places(min)), Some(&places(max))).unwrap();
            let (lower, upper) = pin.split_once(',').unwrap();
            let lower = lower.strip_prefix(">=").unwrap();
            let upper = upper.strip_prefix('<').unwrap();
            prop_assert!(compare_versions(lower, &version).is_le(), "{pin} of {version}");
            prop_assert!(compare_versions(&version, upper).is_lt(), "{pin} of {version}");
            // Only places that the version has can be counted up.
            let mut newer = parts.clone();
            newer[max.min(parts.len()) - 1] += 1;
            let newer = newer.iter().map(u32::to_string).collect::<Vec<_>>().join(".");
            prop_assert!(compare_versions(upper, &newer).is_le(), "{pin} of {version} lets {newer} in");
        }

        #[test]
        fn any_text_makes_a_pin_or_an_error(version in "[0-9a-z.!+_-]{0,20}", min in "[x.]{0,8}", max in "[x.]{0,8}") {
            let _ = apply_pin(&version, Some(&min), Some(&max));
            let _ = compare_versions(&version, &min);
        }
    }
}
