//! Whose face a file name says it is, for data sets whose names hold the person. Splits can then be made by person.

/// The subject in a file name without extension, by the naming rules of CK+ (`S010_004_00000017`), KDEF (`AF01ANS`:
/// session, sex and number, expression, angle; sessions A and B are one person) and JAFFE (`KA.AN1.39`).
/// `None` for any other name.
pub(crate) fn subject_in(stem: &str) -> Option<String> {
    ck_plus(stem).or_else(|| kdef(stem)).or_else(|| jaffe(stem))
}

const POSES: [&str; 7] = ["AF", "AN", "DI", "HA", "NE", "SA", "SU"];

fn ck_plus(stem: &str) -> Option<String> {
    let mut parts = stem.split('_');
    let (subject, session, frame) = (parts.next()?, parts.next()?, parts.next()?);
    let known = parts.next().is_none()
        && subject.strip_prefix('S').is_some_and(|number| is_number(number, 3))
        && is_number(session, 3)
        && is_number(frame, 8);
    known.then(|| subject.to_owned())
}

fn kdef(stem: &str) -> Option<String> {
    let (session, rest) = stem.split_at_checked(1)?;
    let (person, rest) = rest.split_at_checked(3)?;
    let (pose, angle) = rest.split_at_checked(2)?;
    let known = matches!(session, "A" | "B")
        && person.strip_prefix(['F', 'M']).is_some_and(|number| is_number(number, 2))
        && POSES.contains(&pose)
        && matches!(angle, "FL" | "HL" | "S" | "HR" | "FR");
    known.then(|| person.to_owned())
}

fn jaffe(stem: &str) -> Option<String> {
    let mut parts = stem.split('.');
    let (person, pose, number) = (parts.next()?, parts.next()?, parts.next()?);
    let (expression, take) = pose.split_at_checked(2)?;
    let known = parts.next().is_none()
        && person.len() == 2
        && person.bytes().all(|byte| byte.is_ascii_uppercase())
        && (expression == "FE" || POSES[1..].contains(&expression))
        && is_number(take, 1)
        && !number.is_empty()
        && is_number(number, number.len());
    known.then(|| person.to_owned())
}

fn is_number(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit())
}
