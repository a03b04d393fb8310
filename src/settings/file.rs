//! The settings file: TOML whose sections are prefixes. `[ledger] rows-per-second = 500` is `ledger-rows-per-second`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use crate::settings::error::SettingsError;
use crate::settings::nearest::nearest;

/// The file's values as text, by setting.
#[derive(Debug)]
pub struct SettingsFile {
    path: PathBuf,
    values: BTreeMap<String, Vec<String>>,
}

impl SettingsFile {
    /// Reads the file at `path`; every key must be one of `known`.
    pub fn read(path: &Path, known: &[&str]) -> Result<SettingsFile, SettingsError> {
        let text = std::fs::read_to_string(path).map_err(|error| broken(path, error.to_string()))?;
        Self::parse(path, &text, known)
    }

    /// The values of `key`, if the file has any.
    pub fn get(&self, key: &str) -> Option<&[String]> {
        self.values.get(key).map(Vec::as_slice)
    }

    /// Where it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn parse(path: &Path, text: &str, known: &[&str]) -> Result<SettingsFile, SettingsError> {
        let table: Table = text.parse().map_err(|error: toml::de::Error| broken(path, error.to_string()))?;
        let mut values = BTreeMap::new();
        flatten(path, "", &table, &mut values)?;
        for key in values.keys() {
            if !known.contains(&key.as_str()) {
                let nearest = nearest(key, known.iter().copied()).map(str::to_owned);
                return Err(SettingsError::UnknownKey { key: key.clone(), path: path.to_owned(), nearest });
            }
        }
        Ok(SettingsFile { path: path.to_owned(), values })
    }
}

fn flatten(
    path: &Path,
    section: &str,
    table: &Table,
    values: &mut BTreeMap<String, Vec<String>>,
) -> Result<(), SettingsError> {
    for (key, value) in table {
        let key = if section.is_empty() { key.clone() } else { format!("{section}-{key}") };
        let texts = match value {
            Value::Table(table) => {
                flatten(path, &key, table, values)?;
                continue;
            }
            Value::Array(items) => {
                items.iter().map(|item| plain(path, &key, item)).collect::<Result<Vec<String>, SettingsError>>()?
            }
            Value::String(_) | Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => {
                vec![plain(path, &key, value)?]
            }
        };
        if values.insert(key.clone(), texts).is_some() {
            return Err(broken(path, format!("{key} stands there twice, once inside a section; leave one of them")));
        }
    }
    Ok(())
}

fn plain(path: &Path, key: &str, value: &Value) -> Result<String, SettingsError> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Integer(number) => Ok(number.to_string()),
        Value::Boolean(truth) => Ok(truth.to_string()),
        Value::Float(_) | Value::Datetime(_) | Value::Array(_) | Value::Table(_) => Err(SettingsError::Value {
            name: format!("{key} in {}", path.display()),
            value: value.to_string(),
            right: format!("is a {}; give a string, a whole number, true or false", value.type_str()),
        }),
    }
}

fn broken(path: &Path, reason: String) -> SettingsError {
    SettingsError::File { key: "config", path: path.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 4] = ["listen", "data", "ledger-rows-per-second", "protected-mode"];

    fn parse(text: &str) -> Result<SettingsFile, String> {
        SettingsFile::parse(Path::new("gate.toml"), text, &KNOWN).map_err(|error| error.to_string())
    }

    #[test]
    fn sections_are_prefixes_and_plain_values_become_text() {
        let file = parse("listen = ['a:1', 'b:2']\nprotected-mode = false\n[ledger]\nrows-per-second = 500").unwrap();
        assert_eq!(file.get("listen").unwrap(), ["a:1", "b:2"]);
        assert_eq!(file.get("protected-mode").unwrap(), ["false"]);
        assert_eq!(file.get("ledger-rows-per-second").unwrap(), ["500"]);
        assert_eq!(file.get("data"), None);
        let nested = parse("[ledger.rows]\nper-second = 500").unwrap();
        assert_eq!(nested.get("ledger-rows-per-second").unwrap(), ["500"]);
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_nearest() {
        assert_eq!(parse("lissten = 'x'").unwrap_err(), "lissten in gate.toml is not a setting; did you mean listen?");
        let far = parse("maxmemory-policy = 'x'").unwrap_err();
        assert_eq!(far, "maxmemory-policy in gate.toml is not a setting; `coupon-gate --help` lists them all");
    }

    #[test]
    fn the_same_setting_in_two_places_is_refused() {
        let error = parse("ledger-rows-per-second = 1\n[ledger]\nrows-per-second = 2").unwrap_err();
        assert!(error.contains("ledger-rows-per-second stands there twice"), "{error}");
    }

    #[test]
    fn what_is_not_toml_is_refused_with_its_place() {
        let error = parse("listen = \ndata = 1").unwrap_err();
        assert!(error.contains("gate.toml") && error.contains("line 1"), "{error}");
    }

    #[test]
    fn values_of_other_kinds_are_refused() {
        let error = parse("data = 1.5").unwrap_err();
        assert_eq!(error, "data in gate.toml: \"1.5\" is a float; give a string, a whole number, true or false");
        assert!(parse("listen = [['a']]").is_err());
    }
}
