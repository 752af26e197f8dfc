//! Programs of Windows that look through text: `findstr find sort more fc`.

use crate::files::DEEPEST;
use crate::host::Entry;
use crate::paths;
use crate::run::{Done, Flow, Machine, items};
use crate::streams::Streams;

/// Items of a `findstr` expression; what is longer is a mistake, or worse.
const LONGEST: usize = 4096;

impl Machine<'_> {
    pub(crate) fn search_program(&mut self, name: &str, rest: &str, streams: &Streams) -> Done {
        match name {
            "findstr" => self.findstr(rest, streams),
            "find" => self.find_text(rest, streams),
            "sort" => self.sort(rest, streams),
            "fc" => self.compare_files(rest, streams),
            _ => {
                let files: Vec<String> = items(rest).into_iter().filter(|word| !word.starts_with(['/', '+'])).collect();
                let mut text = self.lines_of(&files, streams).into_iter().map(|(_, text)| text).collect::<String>();
                // `more` ends with an empty line.
                text.push_str(if text.is_empty() || text.ends_with('\n') { "\r\n" } else { "\r\n\r\n" });
                self.put(&streams.output, text.as_bytes());
                Ok(self.done(0))
            }
        }
    }

    /// Files with their texts, by the names as found; without names, what is read.
    fn lines_of(&mut self, words: &[String], streams: &Streams) -> Vec<(String, String)> {
        if words.is_empty() {
            let bytes = streams.take_input();
            return vec![(String::new(), String::from_utf8_lossy(&bytes).into_owned())];
        }
        let mut found = Vec::new();
        for word in words {
            let word = word.replace('"', "");
            let names: Vec<String> = if paths::has_wildcard(&word) {
                self.matches(&word).into_iter().filter(|(_, folder)| !folder).map(|(path, _)| path).collect()
            } else {
                vec![word.clone()]
            };
            for name in names {
                match self.host.read(&paths::absolute(&name, &self.folder)) {
                    Ok(bytes) => found.push((name, String::from_utf8_lossy(&bytes).into_owned())),
                    Err(_) => {
                        self.put(&streams.error, format!("FINDSTR: Cannot open {name}\r\n").as_bytes());
                    }
                }
            }
        }
        found
    }

    fn findstr(&mut self, rest: &str, streams: &Streams) -> Done {
        let mut options = Options::default();
        let mut words = Vec::new();
        for word in words_of(rest) {
            match word.strip_prefix(['/', '-']).filter(|_| !word.starts_with('"')) {
                Some(letters) if words.is_empty() || word.starts_with('/') => {
                    let files = options.read(letters).map_err(|why| self.error(why))?;
                    for file in files {
                        let path = paths::absolute(&file, &self.folder);
                        let text = self.host.read(&path);
                        let text = text.map_err(|error| self.error(format!("`{file}` can't be read: {error}")))?;
                        let text = String::from_utf8_lossy(&text).into_owned();
                        options.texts.extend(text.lines().filter(|line| !line.is_empty()).map(str::to_owned));
                    }
                }
                _ => words.push(word),
            }
        }
        let given = options.given || !options.texts.is_empty();
        if !given {
            if words.is_empty() {
                self.put(&streams.error, b"FINDSTR: Bad command line\r\n");
                return Ok(self.done(2));
            }
            let texts = unquoted(&words.remove(0));
            options.texts = texts.split(' ').filter(|text| !text.is_empty()).map(str::to_owned).collect();
        }
        // Without a word on it: what `/c` gives is text, else the first one tells by how it looks.
        let looks = options.texts.first().is_some_and(|text| has_meta(text));
        let expressions = options.expressions.unwrap_or(!options.given && looks);
        let mut patterns = Vec::new();
        for text in &options.texts {
            let pattern = if expressions { Pattern::expression(text) } else { Pattern::text(text) };
            let mut pattern = pattern.map_err(|why| self.error(format!("`findstr`: {why}")))?;
            pattern.start |= options.start || options.whole;
            pattern.end |= options.end || options.whole;
            pattern.fold = options.fold;
            patterns.push(pattern);
        }
        let named = options.below || words.len() > 1 || words.iter().any(|word| paths::has_wildcard(word));
        if options.below {
            words = words.iter().flat_map(|word| self.files_below(&word.replace('"', ""))).collect();
            if words.is_empty() {
                return Ok(self.done(1));
            }
        }
        let mut out = String::new();
        let mut any = false;
        for (name, text) in self.lines_of(&words, streams) {
            let mut offset = 0;
            for (index, whole) in text.split_inclusive('\n').enumerate() {
                let line = whole.trim_end_matches(['\n', '\r']);
                let at = offset;
                offset += whole.len();
                if patterns.iter().any(|pattern| pattern.fits(line)) == options.invert {
                    continue;
                }
                any = true;
                if options.names {
                    out.push_str(&format!("{name}\r\n"));
                    break;
                }
                if named {
                    out.push_str(&format!("{name}:"));
                }
                if options.numbers {
                    out.push_str(&format!("{}:", index + 1));
                }
                if options.offsets {
                    out.push_str(&format!("{at}:"));
                }
                out.push_str(&format!("{line}\r\n"));
            }
        }
        self.put(&streams.output, out.as_bytes());
        Ok(self.done(i32::from(!any)))
    }

    /// The files that fit a pattern, in its folder and all below, as `findstr /s` names them.
    fn files_below(&self, pattern: &str) -> Vec<String> {
        let (folder, name) = paths::split(pattern);
        let mut found = Vec::new();
        let mut open = vec![(folder.to_owned(), 0)];
        while let Some((folder, depth)) = open.pop() {
            let full = self.full(if folder.is_empty() { "." } else { &folder });
            let (folders, files): (Vec<Entry>, Vec<Entry>) =
                self.host.list(&full).into_iter().partition(|entry| entry.folder);
            let fitting = files.into_iter().filter(|entry| paths::fits(name, &entry.name));
            found.extend(fitting.map(|entry| format!("{folder}{}", entry.name)));
            if depth < DEEPEST {
                let inner = folders.iter().rev().filter(|entry| !entry.link);
                open.extend(inner.map(|entry| (format!("{folder}{}\\", entry.name), depth + 1)));
            }
        }
        found
    }

    fn find_text(&mut self, rest: &str, streams: &Streams) -> Done {
        let (mut invert, mut count, mut numbers, mut fold) = (false, false, false, false);
        let (mut text, mut files) = (None, Vec::new());
        for word in words_of(rest) {
            match word.to_ascii_lowercase().as_str() {
                "/v" => invert = true,
                "/c" => count = true,
                "/n" => numbers = true,
                "/i" => fold = true,
                "/off" | "/offline" => {}
                lower if lower.starts_with('/') => return Err(self.error(format!("gonda doesn't know `find {word}`"))),
                _ if text.is_none() && word.starts_with('"') => text = Some(unquoted(&word)),
                _ if text.is_none() => {
                    self.put(&streams.error, b"FIND: Parameter format not correct\r\n");
                    return Ok(self.done(2));
                }
                _ => files.push(word),
            }
        }
        let Some(text) = text else {
            self.put(&streams.error, b"FIND: Parameter format not correct\r\n");
            return Ok(self.done(2));
        };
        let case = |text: &str| if fold { text.to_lowercase() } else { text.to_owned() };
        let wanted = case(&text);
        let (mut out, mut any) = (String::new(), false);
        for (name, content) in self.lines_of(&files, streams) {
            let fits = |line: &str| !wanted.is_empty() && case(line).contains(&wanted);
            let found: Vec<(usize, &str)> =
                content.lines().enumerate().filter(|(_, line)| fits(line) != invert).collect();
            any |= !found.is_empty();
            let head = format!("---------- {}", name.to_uppercase());
            match (count, name.is_empty()) {
                (true, true) => out.push_str(&format!("{}\r\n", found.len())),
                (true, false) => out.push_str(&format!("\r\n{head}: {}\r\n", found.len())),
                (false, true) => {}
                (false, false) => out.push_str(&format!("\r\n{head}\r\n")),
            }
            for (index, line) in found.into_iter().filter(|_| !count) {
                let number = if numbers { format!("[{}]", index + 1) } else { String::new() };
                out.push_str(&format!("{number}{line}\r\n"));
            }
        }
        self.put(&streams.output, out.as_bytes());
        Ok(self.done(i32::from(!any)))
    }

    fn sort(&mut self, rest: &str, streams: &Streams) -> Done {
        let (mut down, mut once, mut column) = (false, false, 0);
        let (mut to, mut files) = (None, Vec::new());
        let mut words = words_of(rest).into_iter();
        while let Some(word) = words.next() {
            match word.to_ascii_lowercase().as_str() {
                "/r" | "/reverse" => down = true,
                "/unique" => once = true,
                "/o" | "/output" => to = words.next(),
                lower if lower.strip_prefix("/+").is_some_and(|number| number.parse::<usize>().is_ok()) => {
                    column = lower[2..].parse::<usize>().unwrap_or(1).saturating_sub(1);
                }
                lower if lower.starts_with('/') => return Err(self.error(format!("gonda doesn't know `sort {word}`"))),
                _ => files.push(word),
            }
        }
        let text: String = self.lines_of(&files, streams).into_iter().map(|(_, text)| text).collect();
        let key = |line: &&str| line.chars().skip(column).collect::<String>().to_lowercase();
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_by_cached_key(key);
        if down {
            lines.reverse();
        }
        if once {
            lines.dedup_by_key(|line| line.to_lowercase());
        }
        let text: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        match to {
            Some(file) => {
                let path = paths::absolute(&file, &self.folder);
                let written = self.host.write(&path, text.as_bytes(), false);
                written.map_err(|error| self.error(format!("`{file}` can't be written: {error}")))?;
            }
            None => self.put(&streams.output, text.as_bytes()),
        }
        Ok(self.done(0))
    }

    /// Whether two files are equal: 0, 1, or 2 where one is missing.
    fn compare_files(&mut self, rest: &str, streams: &Streams) -> Done {
        let words: Vec<String> = items(rest).into_iter().filter(|word| !word.starts_with('/')).collect();
        let [one, other] = words.as_slice() else {
            self.put(&streams.error, b"FC: Insufficient number of file specifications\r\n");
            return Ok(self.done(2));
        };
        let read = |name: &str| self.host.read(&paths::absolute(name, &self.folder));
        let (Ok(first), Ok(second)) = (read(one), read(other)) else {
            self.put(&streams.error, b"FC: cannot open a file\r\n");
            return Ok(self.done(2));
        };
        let words = if first == second { "FC: no differences encountered" } else { "FC: the files differ" };
        self.put(&streams.output, format!("Comparing files {one} and {other}\r\n{words}\r\n\r\n").as_bytes());
        Ok::<Flow, _>(self.done(i32::from(first != second)))
    }
}

/// Words between blanks; quotes keep together, also behind a switch (`/c:"a b"`).
fn words_of(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    let mut before = ' ';
    for c in text.chars() {
        // `\"` is a quote of the text.
        if c == '"' && before != '\\' {
            quoted = !quoted;
        }
        before = c;
        match words.last_mut() {
            Some(word) if quoted || !c.is_whitespace() => word.push(c),
            _ => words.push(String::new()),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn unquoted(word: &str) -> String {
    word.replace("\\\"", "\u{0}").replace('"', "").replace('\u{0}', "\\\"")
}

/// What `findstr` was asked for.
#[derive(Default)]
struct Options {
    start: bool,
    end: bool,
    whole: bool,
    fold: bool,
    invert: bool,
    names: bool,
    numbers: bool,
    offsets: bool,
    /// Files of folders below, too.
    below: bool,
    /// `/r`, or `/l`.
    expressions: Option<bool>,
    /// `/c:` or `/g:`.
    given: bool,
    texts: Vec<String>,
}

impl Options {
    /// Letters behind a slash, several at once; the files of `/g:`.
    fn read(&mut self, letters: &str) -> Result<Vec<String>, String> {
        let mut files = Vec::new();
        for (at, letter) in letters.char_indices() {
            match letter.to_ascii_lowercase() {
                'b' => self.start = true,
                'e' => self.end = true,
                'x' => self.whole = true,
                'i' => self.fold = true,
                'v' => self.invert = true,
                'm' => self.names = true,
                'n' => self.numbers = true,
                'o' => self.offsets = true,
                'p' => {}
                's' => self.below = true,
                'l' => self.expressions = Some(false),
                'r' => self.expressions = Some(true),
                'c' | 'g' | 'a' if letters[at + 1..].starts_with(':') => {
                    let value = unquoted(&letters[at + 2..]);
                    match letter.to_ascii_lowercase() {
                        'c' => self.texts.push(value),
                        'g' => files.push(value),
                        _ => {}
                    }
                    self.given |= !letter.eq_ignore_ascii_case(&'a');
                    break;
                }
                _ => return Err(format!("gonda doesn't know `findstr /{letters}`")),
            }
        }
        Ok(files)
    }
}

fn has_meta(text: &str) -> bool {
    let mut before = ' ';
    text.chars().any(|c| {
        let meta = before != '\\' && matches!(c, '.' | '*' | '^' | '$' | '[' | ']')
            || (before == '\\' && matches!(c, '<' | '>'));
        before = if before == '\\' { ' ' } else { c };
        meta
    })
}

/// A text to be found, or an expression in `findstr`'s own language: `.` `*` `^` `$` `[…]` `\x` `\<` `\>`, and no more.
struct Pattern {
    start: bool,
    end: bool,
    fold: bool,
    items: Vec<Item>,
}

enum Item {
    /// One character, or as many as there are.
    One(Class, bool),
    WordStart,
    WordEnd,
}

enum Class {
    Any,
    Char(char),
    Set(bool, Vec<(char, char)>),
}

impl Class {
    fn fits(&self, c: char, fold: bool) -> bool {
        let is = |c: char| match self {
            Self::Any => true,
            Self::Char(wanted) => *wanted == c,
            Self::Set(_, ranges) => ranges.iter().any(|(from, to)| (*from..=*to).contains(&c)),
        };
        let found = is(c) || fold && (c.to_lowercase().any(is) || c.to_uppercase().any(is));
        if let Self::Set(true, _) = self { !found } else { found }
    }
}

impl Pattern {
    fn new(items: Vec<Item>) -> Result<Self, String> {
        if items.len() > LONGEST {
            return Err("the search string is too long".into());
        }
        Ok(Self { start: false, end: false, fold: false, items })
    }

    fn text(text: &str) -> Result<Self, String> {
        let mut items = Vec::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            let c = if c == '\\' { chars.next_if(|c| matches!(c, '\\' | '"')).unwrap_or(c) } else { c };
            items.push(Item::One(Class::Char(c), false));
        }
        Self::new(items)
    }

    fn expression(text: &str) -> Result<Self, String> {
        let (mut start, mut end) = (false, false);
        let mut items = Vec::new();
        let mut chars = text.chars().peekable();
        let mut first = true;
        while let Some(c) = chars.next() {
            let was_first = std::mem::replace(&mut first, false);
            let class = match c {
                '^' if was_first => {
                    start = true;
                    continue;
                }
                '$' if chars.peek().is_none() => {
                    end = true;
                    continue;
                }
                '.' => Class::Any,
                '[' => {
                    let invert = chars.next_if_eq(&'^').is_some();
                    let mut ranges = Vec::new();
                    loop {
                        let Some(from) = chars.next() else { return Err(format!("`{text}` has an open `[`")) };
                        let from = match from {
                            ']' => break,
                            '\\' => chars.next().unwrap_or('\\'),
                            from => from,
                        };
                        let mut to = from;
                        let mut ahead = chars.clone();
                        if ahead.next() == Some('-')
                            && let Some(last) = ahead.next().filter(|c| *c != ']')
                        {
                            to = last;
                            chars = ahead;
                        }
                        ranges.push((from, to));
                    }
                    Class::Set(invert, ranges)
                }
                '\\' => match chars.next() {
                    Some('<') => {
                        items.push(Item::WordStart);
                        continue;
                    }
                    Some('>') => {
                        items.push(Item::WordEnd);
                        continue;
                    }
                    Some(c) => Class::Char(c),
                    None => Class::Char('\\'),
                },
                c => Class::Char(c),
            };
            let many = chars.next_if_eq(&'*').is_some();
            items.push(Item::One(class, many));
        }
        Ok(Self { start, end, ..Self::new(items)? })
    }

    /// Follows all ways at once: no expression takes longer than its length for each character.
    fn fits(&self, line: &str) -> bool {
        let chars: Vec<char> = line.chars().collect();
        let word = |index: usize| chars.get(index).is_some_and(|c| c.is_alphanumeric() || *c == '_');
        let mut here = vec![false; self.items.len() + 1];
        for at in 0..=chars.len() {
            here[0] |= at == 0 || !self.start;
            for index in 0..self.items.len() {
                let passes = match &self.items[index] {
                    Item::One(_, many) => *many,
                    Item::WordStart => word(at) && !(at > 0 && word(at - 1)),
                    Item::WordEnd => at > 0 && word(at - 1) && !word(at),
                };
                here[index + 1] |= here[index] && passes;
            }
            if here[self.items.len()] && (!self.end || at == chars.len()) {
                return true;
            }
            let Some(c) = chars.get(at) else { break };
            let mut next = vec![false; self.items.len() + 1];
            for (index, item) in self.items.iter().enumerate() {
                if let Item::One(class, many) = item
                    && here[index]
                    && class.fits(*c, self.fold)
                {
                    next[if *many { index } else { index + 1 }] = true;
                }
            }
            here = next;
        }
        false
    }
}
