//! Client files and pages of another machine, in every form that chance finds.

use super::*;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::json;

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => (0..70_000_u32).prop_map(Value::from),
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        1 => vec((0..70_000_u32).prop_map(Value::from), 0..70).prop_map(Value::from),
        2 => "(tcp://|ipc://|)[0-9.:a-f*/$ \u{1b}-]{0,12}".prop_map(Value::from),
        1 => "json|pickle|os\\.system".prop_map(Value::from),
        1 => btree_map("[a-z]{1,3}", any::<bool>(), 0..2).prop_map(|fields| json!(fields)),
    ]
}

proptest! {
    #[test]
    fn a_client_file_leads_to_loopback_and_nowhere_else(
        fields in btree_map("[a-z_]{1,8}|ssh|pack|interface|location|broadcast|[./]{1,3}", value(), 0..6),
        registration in 0..70_000_u32, good: bool, local in 1..=u16::MAX, key in "[0-9a-f]{8}",
    ) {
        let mut all: Map<String, Value> = fields.into_iter().collect();
        all.insert("registration".to_owned(), registration.into());
        all.insert("key".to_owned(), key.clone().into());
        if good {
            all.insert("interface".to_owned(), "tcp://10.0.0.7".into());
        }
        if let Ok(client) = ClientFile::read(&Value::Object(all).to_string(), None) {
            prop_assert!(!client.address.is_unspecified());
            prop_assert!(client.ports.values().all(|port| *port > 0));
            let text = client.on_the_laptop(|_| Some(local));
            let again = ClientFile::read(&text, None).expect("as good as before");
            prop_assert!(again.address.is_loopback());
            prop_assert_eq!(again.ports.keys().collect::<Vec<_>>(), client.ports.keys().collect::<Vec<_>>());
            prop_assert!(again.ports.values().all(|port| *port == local));
            let fields: Value = serde_json::from_str(&text).expect("JSON");
            prop_assert_eq!(&fields["key"], &json!(key));
            prop_assert_eq!(&fields["ssh"], &json!(""));
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "(?s).{0,80}") {
        let _ = ClientFile::read(&text, None);
    }

    #[test]
    fn a_page_is_a_path_and_a_token_and_nothing_else(path in "[/a-z.?#@: \u{1b}%-]{0,16}|\\PC{0,8}", token in "[a-z0-9._~-]{0,12}|\\PC{0,8}") {
        let address = IpAddr::from([10, 0, 0, 1]);
        if let Ok(page) = Page::new(address, 1, &path, &token) {
            let plain = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "/_-.~%@+".contains(c));
            prop_assert!(plain(&page.path) && plain(&page.token) && !page.token.contains('/'));
            prop_assert!(page.path.starts_with('/') && !page.path.starts_with("//"));
            prop_assert!(page.base.starts_with('/') && page.base.ends_with('/') && page.path.starts_with(&page.base));
        }
    }
}
