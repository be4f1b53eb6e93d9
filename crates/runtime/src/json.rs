//! How this crate reads and writes JSON objects.
//!
//! [`object!`](crate::object) defines a struct together with its JSON form. It exists beside serde's derive
//! because the OCI runtime specification asks for three things at once that derive gives only at a price:
//! fields that are not known are kept and written back, `null` means absent (as it does for the Go programs that write
//! these files), and a config is parsed in microseconds (derive's `flatten` buffers every value first).
//!
//! A field without a marker is left out when it equals its default; a field marked `required` is always written.

use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap};
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

/// Fields of an object that its type doesn't name, in the order in which they were read.
pub type Extra = serde_json::Map<String, serde_json::Value>;

/// An object's key, borrowed from the input where it has no escapes.
pub struct Key<'a>(pub std::borrow::Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a field name")
            }
            fn visit_borrowed_str<E>(self, v: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(v.into()))
            }
            fn visit_str<E>(self, v: &str) -> Result<Key<'de>, E> {
                Ok(Key(v.to_owned().into()))
            }
        }
        deserializer.deserialize_identifier(Visit)
    }
}

/// Something that is read from JSON and tells where in it reading failed.
///
/// It stands beside serde's `Deserialize` because that one forgets the way it went; to read everything a second time
/// with path tracking when it failed took twice the code.
pub trait Read: Sized + Default {
    /// Reads it.
    ///
    /// # Errors
    /// The format's; the text begins with the path from here on, see [`from_slice`].
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;
}

macro_rules! read_by_serde {
    ($($kind:ty)*) => { $(
        impl Read for $kind {
            fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::deserialize(deserializer)
            }
        }
    )* };
}

read_by_serde!(bool u16 u32 u64 i32 i64 f64 String);

/// [`Read`] where serde wants to be told how to read a value; `null` is no value.
pub struct Seed<T>(PhantomData<T>);

impl<T> Default for Seed<T> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<'de, T: Read> DeserializeSeed<'de> for Seed<T> {
    type Value = Option<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<T>, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de, T: Read> Visitor<'de> for Seed<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a value or null")
    }

    fn visit_unit<E>(self) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_none<E>(self) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<T>, D::Error> {
        T::read(deserializer).map(Some)
    }
}

impl<T: Read> Read for Option<T> {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Seed::default().deserialize(deserializer)
    }
}

impl<T: Read> Read for Box<T> {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::read(deserializer).map(Self::new)
    }
}

impl<T: Read> Read for Vec<T> {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit<T>(PhantomData<T>);
        impl<'de, T: Read> Visitor<'de> for Visit<T> {
            type Value = Vec<T>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
                let mut out = Vec::new();
                loop {
                    let element = list.next_element_seed(Seed::<T>::default());
                    match element.map_err(|e| located(format_args!("[{}]", out.len()), e))? {
                        Some(element) => out.push(element.unwrap_or_default()),
                        None => return Ok(out),
                    }
                }
            }
        }
        deserializer.deserialize_seq(Visit(PhantomData))
    }
}

impl<T: Read> Read for BTreeMap<String, T> {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit<T>(PhantomData<T>);
        impl<'de, T: Read> Visitor<'de> for Visit<T> {
            type Value = BTreeMap<String, T>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut out = BTreeMap::new();
                while let Some(key) = map.next_key::<String>()? {
                    let value = map.next_value_seed(Seed::<T>::default());
                    let value = value.map_err(|e| located(format_args!("{key}"), e))?;
                    out.insert(key, value.unwrap_or_default());
                }
                Ok(out)
            }
        }
        deserializer.deserialize_map(Visit(PhantomData))
    }
}

/// Begins the text of an error that has a path; no JSON text can hold it unescaped.
const MARK: char = '\u{1}';

/// The same error, from one step further out.
#[cold]
pub fn located<E: serde::de::Error>(step: fmt::Arguments, e: E) -> E {
    let text = e.to_string();
    E::custom(match text.strip_prefix(MARK) {
        Some(rest) if rest.starts_with('[') => format!("{MARK}{step}{rest}"),
        Some(rest) => format!("{MARK}{step}.{rest}"),
        None => format!("{MARK}{step}: {text}"),
    })
}

/// Reads the value of a field that was just named; `null` is the default. Once for each type, not for each field: inlined
/// into its two hundred callers it was a twentieth of the door.
///
/// # Errors
/// As [`Read::read`].
#[inline(never)]
pub fn field<'de, T: Read, A: MapAccess<'de>>(map: &mut A, key: &str) -> Result<T, A::Error> {
    let value = map.next_value_seed(Seed::<T>::default());
    Ok(value.map_err(|e| located(format_args!("{key}"), e))?.unwrap_or_default())
}

/// Writes a field, unless it is the default. Once for each type, as [`field`].
///
/// # Errors
/// The writer's.
#[inline(never)]
pub fn entry<T: Serialize + Default + PartialEq, M: SerializeMap>(
    map: &mut M,
    key: &str,
    value: &T,
) -> Result<(), M::Error> {
    if *value == T::default() { Ok(()) } else { map.serialize_entry(key, value) }
}

/// Parses `bytes`; a failure names the field: `process.user.uid: invalid type: string "x", expected u32`.
///
/// # Errors
/// The field's path, the cause and its place, in one line.
pub fn from_slice<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, String> {
    serde_json::from_slice(bytes).map_err(|e| {
        let text = e.to_string();
        text.strip_prefix(MARK).unwrap_or(&text).to_owned()
    })
}

/// Defines a struct with its JSON form; see the module's text.
#[macro_export]
macro_rules! object {
    (@write required, $map:ident, $key:literal, $value:expr) => {
        serde::ser::SerializeMap::serialize_entry(&mut $map, $key, $value)?
    };
    (@write , $map:ident, $key:literal, $value:expr) => { $crate::json::entry(&mut $map, $key, $value)? };
    ($(#[$meta:meta])* pub struct $name:ident {
        $($(#[$fmeta:meta])* pub $field:ident: $ty:ty = $key:literal $($required:ident)?,)*
    }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $name {
            $($(#[$fmeta])* pub $field: $ty,)*
            /// Fields that this type doesn't name.
            pub extra: $crate::json::Extra,
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> ::std::result::Result<Self, D::Error> {
                $crate::json::Read::read(deserializer)
            }
        }

        impl $crate::json::Read for $name {
            fn read<'de, D: serde::Deserializer<'de>>(deserializer: D) -> ::std::result::Result<Self, D::Error> {
                struct Visit;
                impl<'de> serde::de::Visitor<'de> for Visit {
                    type Value = $name;
                    fn expecting(&self, f: &mut ::std::fmt::Formatter) -> ::std::fmt::Result {
                        f.write_str("an object")
                    }
                    fn visit_map<A: serde::de::MapAccess<'de>>(
                        self,
                        mut map: A,
                    ) -> ::std::result::Result<$name, A::Error> {
                        let mut out = <$name>::default();
                        while let Some(key) = map.next_key::<$crate::json::Key>()? {
                            match key.0.as_ref() {
                                $($key => out.$field = $crate::json::field(&mut map, $key)?,)*
                                _ => {
                                    out.extra.insert(key.0.into_owned(), map.next_value()?);
                                }
                            }
                        }
                        Ok(out)
                    }
                }
                deserializer.deserialize_map(Visit)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> ::std::result::Result<S::Ok, S::Error> {
                let mut map = serializer.serialize_map(None)?;
                $($crate::object!(@write $($required)?, map, $key, &self.$field);)*
                for (key, value) in &self.extra {
                    serde::ser::SerializeMap::serialize_entry(&mut map, key, value)?;
                }
                serde::ser::SerializeMap::end(map)
            }
        }
    };
}
