//! Class names, class maps and splits.

use marginalia_datasets::{ClassMap, Classes, Error, HoldOut, Split};

#[test]
fn the_standard_classes_stand_in_the_order_of_the_keys() {
    let classes = Classes::standard();
    assert_eq!(classes.names(), ["neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger"]);
    assert_eq!(Classes::with_contempt().name(7), "contempt");
    assert_eq!(classes, Classes::default());
    assert_eq!(classes.index("anger"), Some(6));
    assert_eq!(classes.index("Anger"), None);
}

#[test]
fn other_words_for_an_expression_are_understood_in_any_case() {
    let classes = Classes::with_contempt();
    for (text, class) in [
        ("Happy", "happiness"),
        ("ANGRY", "anger"),
        (" sad ", "sadness"),
        ("surprised", "surprise"),
        ("Disgusted", "disgust"),
        ("afraid", "fear"),
        ("fearful", "fear"),
        ("calm", "neutral"),
        ("Contempt", "contempt"),
    ] {
        assert_eq!(classes.resolve(text).unwrap(), class);
    }
}

#[test]
fn classes_of_ones_own_keep_their_names_and_understand_synonyms_where_they_are_expressions() {
    let classes = Classes::new(["happy", "Bored", "sad"]).unwrap();
    assert_eq!(classes.resolve("happiness").unwrap(), "happy");
    assert_eq!(classes.resolve("SADNESS").unwrap(), "sad");
    assert_eq!(classes.resolve("bored").unwrap(), "Bored");
    assert!(matches!(classes.resolve("anger"), Err(Error::ClassNotInCorpus { .. })));
    assert!(matches!(classes.resolve("sleepy"), Err(Error::UnknownClass { .. })));
}

#[test]
fn lists_that_cannot_work_are_refused() {
    for names in
        [&["anger"][..], &["anger", "angry"], &["a", "A"], &["a", ""], &["0", "1"], &["a", "../b"], &["a", ".b"]]
    {
        assert!(matches!(Classes::new(names.iter().copied()), Err(Error::InvalidClasses { .. })), "{names:?}");
    }
}

#[test]
fn a_number_is_no_class_but_a_class_map_gives_it_one() {
    let classes = Classes::standard();
    assert!(matches!(classes.resolve("3"), Err(Error::NumberAsClass { .. })));
    // The table of class orders in the data sets' own documentation.
    for (map, number, class) in [
        ("raf-db", 1, Some("surprise")),
        ("RAF-DB", 7, Some("neutral")),
        ("raf-db", 0, None),
        ("raf-db", 8, None),
        ("raf-db-0", 0, Some("surprise")),
        ("affectnet", 7, Some("contempt")),
        ("affectnet", 3, Some("surprise")),
        ("affectnet", 9, None),
        ("fer2013", 0, Some("anger")),
        ("fer2013", 6, Some("neutral")),
        ("expw", 3, Some("happiness")),
        ("ferplus", 2, Some("surprise")),
        ("ck+", 2, Some("contempt")),
        ("ck+48", 6, Some("contempt")),
        ("ck+48", i64::MIN, None),
    ] {
        assert_eq!(ClassMap::named(map).unwrap().class(number), class, "{map} {number}");
    }
    assert_eq!(ClassMap::named("affectnet").unwrap().ignored(9), Some("uncertain"));
    assert!(matches!(ClassMap::named("imagenet"), Err(Error::UnknownClassMap { .. })));
}

#[test]
fn every_class_map_names_distinct_known_expressions() {
    let classes = Classes::with_contempt();
    for map in ClassMap::all() {
        let mut names: Vec<_> = (-1..20).filter_map(|number| map.class(number)).collect();
        assert!(names.len() >= 7, "{}", map.name());
        assert!(names.iter().all(|name| classes.index(name).is_some()), "{}", map.name());
        names.sort_unstable();
        names.dedup();
        assert!(names.len() >= 7, "{} names a class twice", map.name());
        assert_eq!(ClassMap::named(map.name()).unwrap(), map);
    }
}

#[test]
fn splits_have_many_names() {
    for (text, split) in [
        ("Training", Split::Train),
        ("VALID", Split::Validation),
        ("val", Split::Validation),
        ("dev", Split::Validation),
        ("testing", Split::Test),
        ("eval", Split::Test),
        ("PrivateTest", Split::Test),
    ] {
        assert_eq!(Split::parse(text), Some(split));
    }
    assert_eq!(Split::parse("holdout"), None);
    assert!(Split::Test.is_evaluation() && Split::Validation.is_evaluation() && !Split::Train.is_evaluation());
    for split in Split::ALL {
        assert_eq!(split.as_str().parse::<Split>().unwrap(), split);
    }
}

#[test]
fn holding_out_is_written_as_split_and_percent() {
    let hold: HoldOut = "val:12.5%".parse().unwrap();
    assert_eq!(hold, HoldOut { split: Split::Validation, percent: 12.5 });
    assert_eq!(hold.to_string(), "validation:12.5%");
    for text in ["validation", "validation:0%", "validation:100%", "validation:x%", "train:10%", "test:NaN%", ":5%"] {
        assert!(text.parse::<HoldOut>().is_err(), "{text}");
    }
}
