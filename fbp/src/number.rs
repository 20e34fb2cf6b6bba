//! Numbers as the originals have them: JavaScript has one kind, so `10`, `10.0` and `1e1` are one
//! number.

use serde_json::{Number, Value};

/// Up to here every whole double is exact.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// The normal form of a number: whole ones up to 2^53 are integers, `-0` is `0`. Integers beyond
/// 2^53 stay as written.
pub(crate) fn normal(number: &Number) -> Number {
    match number.as_f64() {
        Some(value) if number.is_f64() => from_f64(value).unwrap_or_else(|| number.clone()),
        _ => number.clone(),
    }
}

/// The number for a double; `None` if it is not finite.
pub(crate) fn from_f64(value: f64) -> Option<Number> {
    if value.fract() == 0.0 && value.abs() <= EXACT {
        // Exact: whole and within 2^53.
        return Some(Number::from(value as i64));
    }
    Number::from_f64(value)
}

/// The number that a JSON number text means; `None` if no double holds it.
pub(crate) fn from_text(text: &str) -> Option<Number> {
    if let Ok(whole) = text.parse::<i64>() {
        return Some(Number::from(whole));
    }
    if let Ok(whole) = text.parse::<u64>() {
        return Some(Number::from(whole));
    }
    from_f64(text.parse().ok()?)
}

/// `value` with every number in its normal form. The caller has bounded the depth.
pub(crate) fn normalised(value: &Value) -> Value {
    match value {
        Value::Number(number) => Value::Number(normal(number)),
        Value::Array(items) => items.iter().map(normalised).collect(),
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), normalised(value))).collect(),
        other => other.clone(),
    }
}

/// True if arrays and objects are nested at most `limit` deep. Needs no stack.
pub(crate) fn depth_within(value: &Value, limit: usize) -> bool {
    let mut open = vec![(value, 0)];
    while let Some((value, depth)) = open.pop() {
        let children: &mut dyn Iterator<Item = &Value> = match value {
            Value::Array(items) => &mut items.iter(),
            Value::Object(map) => &mut map.values(),
            _ => continue,
        };
        if depth >= limit {
            return false;
        }
        open.extend(children.map(|child| (child, depth + 1)));
    }
    true
}

/// `String(value)` of JavaScript, as the original puts literals into its messages.
pub(crate) fn script_text(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number_text(number.as_f64().unwrap_or_default()),
        Value::String(text) => text.clone(),
        Value::Object(_) => "[object Object]".to_owned(),
        Value::Array(items) => {
            let texts: Vec<String> =
                items.iter().map(|item| if item.is_null() { String::new() } else { script_text(item) }).collect();
            texts.join(",")
        }
    }
}

/// `Number::toString` of ECMA-262, radix 10, for finite numbers.
fn number_text(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    // Rust's `{:e}` gives the shortest digits that read back, as ECMA-262 asks for.
    let scientific = format!("{:e}", value.abs());
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let digits: String = mantissa.chars().filter(|c| *c != '.').collect();
    let count = digits.len() as i32;
    let point = exponent.parse::<i32>().unwrap_or_default() + 1;
    let text = if (count..=21).contains(&point) {
        format!("{digits}{}", "0".repeat((point - count) as usize))
    } else if (1..=21).contains(&point) {
        format!("{}.{}", &digits[..point as usize], &digits[point as usize..])
    } else if (-5..=0).contains(&point) {
        format!("0.{}{digits}", "0".repeat(-point as usize))
    } else {
        let sign = if point > 0 { '+' } else { '-' };
        let power = (point - 1).abs();
        let (first, rest) = digits.split_at(1);
        let dot = if rest.is_empty() { "" } else { "." };
        format!("{first}{dot}{rest}e{sign}{power}")
    };
    if value < 0.0 { format!("-{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_number_has_one_form() {
        for text in ["10", "10.0", "1e1", "100E-1", "1.0e+1"] {
            assert_eq!(from_text(text), Some(Number::from(10)), "{text}");
        }
        assert_eq!(from_text("-0"), Some(Number::from(0)));
        assert_eq!(from_text("-0.0"), Some(Number::from(0)));
        assert_eq!(from_text("18446744073709551615"), Some(Number::from(u64::MAX)));
        assert_eq!(from_text("1e400"), None);
        assert_eq!(normalised(&json!({"a": [1.0, 1.5, -0.0]})).to_string(), r#"{"a":[1,1.5,0]}"#);
    }

    #[test]
    fn numbers_print_as_in_javascript() {
        let cases = [
            (0.0, "0"),
            (-1.5, "-1.5"),
            (100.0, "100"),
            (123.456, "123.456"),
            (0.000_001, "0.000001"),
            (1e-7, "1e-7"),
            (1.25e-9, "1.25e-9"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (1.5e300, "1.5e+300"),
            (f64::MAX, "1.7976931348623157e+308"),
        ];
        for (value, text) in cases {
            assert_eq!(number_text(value), text);
        }
    }

    #[test]
    fn values_print_as_in_javascript() {
        assert_eq!(script_text(&json!([1, [2, null], {}, "x", true])), "1,2,,[object Object],x,true");
        assert_eq!(script_text(&json!(null)), "null");
    }

    #[test]
    fn depth_is_counted_without_recursion() {
        let mut value = json!(1);
        assert!(depth_within(&value, 0));
        for _ in 0..100 {
            value = json!([value]);
        }
        assert!(depth_within(&value, 100));
        assert!(!depth_within(&value, 99));
    }
}
