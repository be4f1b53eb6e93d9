//! How this crate reads and writes JSON objects.
//!
//! [`object!`](crate::object) defines a struct together with its JSON form. It exists beside serde's derive
//! because the OCI runtime specification asks for three things at once that derive gives only at a price:
//! fields that are not known are kept and written back, `null` means absent (as it does for the Go programs that write
//! these files), and a config is parsed in microseconds (derive's `flatten` buffers every value first).
//!
//! A field without a marker is left out when it equals its default; a field marked `required` is always written.

/// Fields of an object that its type doesn't name, in the order in which they were read.
pub type Extra = serde_json::Map<String, serde_json::Value>;

/// An object's key, borrowed from the input where it has no escapes.
pub struct Key<'a>(pub std::borrow::Cow<'a, str>);

impl<'de> serde::Deserialize<'de> for Key<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> serde::de::Visitor<'de> for Visit {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
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

/// Parses `bytes`; a failure names the field: `process.user.uid: invalid type: string "x", expected u32`.
///
/// The path costs nothing while all is well: only input that failed is read again with path tracking.
pub fn from_slice<'de, T: serde::Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, String> {
    let plain = match serde_json::from_slice::<T>(bytes) {
        Ok(value) => return Ok(value),
        Err(e) => e,
    };
    let mut de = serde_json::Deserializer::from_slice(bytes);
    match serde_path_to_error::deserialize::<_, T>(&mut de) {
        Err(e) if e.path().iter().len() > 0 => Err(format!("{}: {}", e.path(), e.inner())),
        _ => Err(plain.to_string()),
    }
}

/// Defines a struct with its JSON form; see the module's text.
#[macro_export]
macro_rules! object {
    (@is_blank required, $v:expr, $t:ty) => { false };
    (@is_blank , $v:expr, $t:ty) => { *$v == <$t as Default>::default() };
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
                struct Visit;
                impl<'de> serde::de::Visitor<'de> for Visit {
                    type Value = $name;
                    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                        f.write_str("an object")
                    }
                    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> ::std::result::Result<$name, A::Error> {
                        let mut out = <$name>::default();
                        while let Some(key) = map.next_key::<$crate::json::Key>()? {
                            match key.0.as_ref() {
                                $($key => out.$field = map.next_value::<Option<$ty>>()?.unwrap_or_default(),)*
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
                use serde::ser::SerializeMap;
                let mut map = serializer.serialize_map(None)?;
                $(if !$crate::object!(@is_blank $($required)?, &self.$field, $ty) {
                    map.serialize_entry($key, &self.$field)?;
                })*
                for (key, value) in &self.extra {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    };
}
