//! Python's `datetime` and `time`, as far as recipes use them. The clock is never read: now is `SOURCE_DATE_EPOCH`, or
//! the beginning of 1980, so that a recipe renders the same at any time.

use std::cmp::Ordering;

use jiff::civil::{Date, DateTime};
use jiff::{Span, Timestamp, tz::TimeZone};

use super::python::{Args, Object, PyError, PyResult, Value};
use super::session::function;
use crate::World;

fn now(world: &dyn World) -> DateTime {
    let epoch = world.environ().get("SOURCE_DATE_EPOCH").and_then(|text| text.trim().parse().ok());
    let timestamp = Timestamp::from_second(epoch.unwrap_or(315_532_800)).unwrap_or(Timestamp::UNIX_EPOCH);
    timestamp.to_zoned(TimeZone::UTC).datetime()
}

/// The module `time`.
pub(crate) fn time(world: &dyn World) -> Value {
    Value::object(Module { name: "time", now: now(world) })
}

/// The module `datetime`.
pub(crate) fn datetime(world: &dyn World) -> Value {
    Value::object(Module { name: "datetime", now: now(world) })
}

struct Module {
    name: &'static str,
    now: DateTime,
}

fn moment(moment: DateTime, kind: &'static str) -> Value {
    Value::object(Moment { moment, kind })
}

fn seconds(moment: DateTime) -> i64 {
    moment.to_zoned(TimeZone::UTC).map_or(0, |zoned| zoned.timestamp().as_second())
}

impl Module {
    fn from_seconds(args: &Args, default: DateTime) -> DateTime {
        match args.positional.first() {
            Some(Value::Int(seconds)) => {
                Timestamp::from_second(*seconds).map_or(default, |time| time.to_zoned(TimeZone::UTC).datetime())
            }
            #[allow(clippy::cast_possible_truncation)]
            Some(Value::Float(seconds)) => {
                Timestamp::from_second(*seconds as i64).map_or(default, |time| time.to_zoned(TimeZone::UTC).datetime())
            }
            _ => default,
        }
    }
}

impl Object for Module {
    fn type_name(&self) -> &str {
        "module"
    }

    fn attribute(&self, name: &str) -> Option<Value> {
        match (self.name, name) {
            ("datetime", "datetime" | "date") => Some(Value::object(Class { date: name == "date", now: self.now })),
            ("datetime", "timedelta") => Some(function("timedelta", timedelta)),
            ("datetime", "timezone") => Some(Value::object(Zone)),
            ("time", "timezone" | "altzone" | "daylight") => Some(Value::Int(0)),
            _ => None,
        }
    }

    fn call_method(&self, name: &str, args: &Args) -> Option<PyResult> {
        if self.name != "time" {
            return match name {
                "datetime" | "date" => Some(construct(name == "date", args)),
                "timedelta" => Some(timedelta(args)),
                _ => None,
            };
        }
        #[allow(clippy::cast_precision_loss)]
        Some(match name {
            "time" => Ok(Value::Float(seconds(self.now) as f64)),
            "gmtime" | "localtime" => Ok(moment(Self::from_seconds(args, self.now), "struct_time")),
            "strftime" => {
                let format = match args.str(0, "format", "strftime") {
                    Ok(format) => format,
                    Err(error) => return Some(Err(error)),
                };
                let at = match args.positional.get(1) {
                    Some(Value::Object(object)) => {
                        object.as_any().downcast_ref::<Moment>().map_or(self.now, |other| other.moment)
                    }
                    _ => self.now,
                };
                strftime(at, &format)
            }
            _ => return None,
        })
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

struct Zone;

impl Object for Zone {
    fn type_name(&self) -> &str {
        "timezone"
    }

    fn attribute(&self, name: &str) -> Option<Value> {
        (name == "utc").then(|| Value::object(Zone))
    }

    fn repr(&self) -> String {
        "UTC".to_owned()
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

struct Class {
    date: bool,
    now: DateTime,
}

fn construct(date: bool, args: &Args) -> PyResult {
    let part = |index: usize, name: &str, default: i64| args.int(index, name, default);
    let small =
        |value: i64| i8::try_from(value).map_err(|_| PyError::value_error("a part of the date is out of range"));
    let year = i16::try_from(part(0, "year", 0)?).map_err(|_| PyError::value_error("year is out of range"))?;
    let (month, day) = (small(part(1, "month", 0)?)?, small(part(2, "day", 0)?)?);
    let day_of = Date::new(year, month, day).map_err(|_| PyError::value_error("day is out of range for month"))?;
    let (hour, minute, second) = if date {
        (0, 0, 0)
    } else {
        (small(part(3, "hour", 0)?)?, small(part(4, "minute", 0)?)?, small(part(5, "second", 0)?)?)
    };
    let time = jiff::civil::Time::new(hour, minute, second, 0)
        .map_err(|_| PyError::value_error("a part of the time is out of range"))?;
    Ok(moment(day_of.to_datetime(time), if date { "date" } else { "datetime" }))
}

impl Object for Class {
    fn type_name(&self) -> &str {
        "type"
    }

    fn is_callable(&self) -> bool {
        true
    }

    fn call(&self, args: &Args) -> PyResult {
        construct(self.date, args)
    }

    fn call_method(&self, name: &str, args: &Args) -> Option<PyResult> {
        let kind = if self.date { "date" } else { "datetime" };
        Some(match name {
            "now" | "utcnow" | "today" => Ok(moment(self.now, kind)),
            "fromtimestamp" | "utcfromtimestamp" => Ok(moment(Module::from_seconds(args, self.now), kind)),
            "fromisoformat" => {
                let text = match args.str(0, "date_string", name) {
                    Ok(text) => text,
                    Err(error) => return Some(Err(error)),
                };
                let parsed = text.parse::<DateTime>().or_else(|_| text.parse::<Date>().map(|date| date.at(0, 0, 0, 0)));
                parsed
                    .map(|parsed| moment(parsed, kind))
                    .map_err(|_| PyError::value_error(format!("Invalid isoformat string: '{text}'")))
            }
            "strptime" => {
                let (text, format) = match (args.str(0, "date_string", name), args.str(1, "format", name)) {
                    (Ok(text), Ok(format)) => (text, format),
                    (Err(error), _) | (_, Err(error)) => return Some(Err(error)),
                };
                let parsed = DateTime::strptime(&*format, &*text)
                    .or_else(|_| Date::strptime(&*format, &*text).map(|date| date.at(0, 0, 0, 0)));
                parsed
                    .map(|parsed| moment(parsed, kind))
                    .map_err(|_| PyError::value_error(format!("time data '{text}' does not match format '{format}'")))
            }
            _ => return None,
        })
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

struct Moment {
    moment: DateTime,
    kind: &'static str,
}

fn strftime(at: DateTime, format: &str) -> PyResult {
    let zoned = at.to_zoned(TimeZone::UTC).map_err(|_| PyError::value_error("the time is out of range"))?;
    jiff::fmt::strtime::format(format, &zoned)
        .map(Value::from)
        .map_err(|_| PyError::value_error(format!("`{format}` is no format for a time")))
}

impl Object for Moment {
    fn type_name(&self) -> &str {
        self.kind
    }

    fn attribute(&self, name: &str) -> Option<Value> {
        let at = self.moment;
        Some(Value::Int(match name.strip_prefix("tm_").unwrap_or(name) {
            "year" => at.year().into(),
            "month" | "mon" => at.month().into(),
            "day" | "mday" => at.day().into(),
            "hour" => at.hour().into(),
            "minute" | "min" => at.minute().into(),
            "second" | "sec" => at.second().into(),
            "microsecond" => i64::from(at.microsecond()) + i64::from(at.millisecond()) * 1000,
            "yday" => at.date().day_of_year().into(),
            "wday" => at.weekday().to_monday_zero_offset().into(),
            "isdst" => 0,
            _ => return None,
        }))
    }

    fn call_method(&self, name: &str, args: &Args) -> Option<PyResult> {
        let at = self.moment;
        Some(match name {
            "strftime" => args.str(0, "format", name).and_then(|format| strftime(at, &format)),
            "isoformat" => Ok(Value::from(self.iso('T'))),
            "date" => Ok(moment(at.date().at(0, 0, 0, 0), "date")),
            #[allow(clippy::cast_precision_loss)]
            "timestamp" => Ok(Value::Float(seconds(at) as f64)),
            "weekday" => Ok(Value::Int(at.weekday().to_monday_zero_offset().into())),
            "isoweekday" => Ok(Value::Int(at.weekday().to_monday_one_offset().into())),
            "toordinal" => Ok(Value::Int(seconds(at).div_euclid(86_400) + 719_163)),
            "__add__" | "__sub__" => {
                let sign = if name == "__add__" { 1 } else { -1 };
                match args.positional.first() {
                    Some(Value::Object(other)) => {
                        if let Some(delta) = other.as_any().downcast_ref::<Delta>() {
                            let shifted = Span::new()
                                .try_seconds(delta.seconds.saturating_mul(sign))
                                .and_then(|span| at.checked_add(span));
                            shifted
                                .map(|shifted| moment(shifted, self.kind))
                                .map_err(|_| PyError::value_error("date value out of range"))
                        } else if let Some(other) = other.as_any().downcast_ref::<Moment>() {
                            Ok(Value::object(Delta { seconds: seconds(at) - seconds(other.moment) }))
                        } else {
                            return None;
                        }
                    }
                    _ => return None,
                }
            }
            _ => return None,
        })
    }

    fn repr(&self) -> String {
        self.iso(' ')
    }

    fn compare(&self, other: &Value) -> Option<Ordering> {
        match other {
            Value::Object(other) => Some(self.moment.cmp(&other.as_any().downcast_ref::<Moment>()?.moment)),
            _ => None,
        }
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

impl Moment {
    fn iso(&self, separator: char) -> String {
        let at = self.moment;
        let date = format!("{:04}-{:02}-{:02}", at.year(), at.month(), at.day());
        if self.kind == "date" {
            return date;
        }
        format!("{date}{separator}{:02}:{:02}:{:02}", at.hour(), at.minute(), at.second())
    }
}

struct Delta {
    seconds: i64,
}

fn timedelta(args: &Args) -> PyResult {
    let part = |index: usize, name: &str, unit: i64| -> PyResult<i64> {
        args.int(index, name, 0)?.checked_mul(unit).ok_or_else(|| PyError::value_error("the span is out of range"))
    };
    let parts = [
        part(0, "days", 86_400)?,
        part(1, "seconds", 1)?,
        part(4, "minutes", 60)?,
        part(5, "hours", 3_600)?,
        part(6, "weeks", 604_800)?,
    ];
    let seconds = parts.into_iter().try_fold(0_i64, i64::checked_add);
    seconds
        .map(|seconds| Value::object(Delta { seconds }))
        .ok_or_else(|| PyError::value_error("the span is out of range"))
}

impl Object for Delta {
    fn type_name(&self) -> &str {
        "timedelta"
    }

    fn attribute(&self, name: &str) -> Option<Value> {
        match name {
            "days" => Some(Value::Int(self.seconds.div_euclid(86_400))),
            "seconds" => Some(Value::Int(self.seconds.rem_euclid(86_400))),
            _ => None,
        }
    }

    fn call_method(&self, name: &str, _args: &Args) -> Option<PyResult> {
        #[allow(clippy::cast_precision_loss)]
        (name == "total_seconds").then(|| Ok(Value::Float(self.seconds as f64)))
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}
