//! Whose face a file name says it is, and in which pose, for data sets whose names hold that. Splits can then be made
//! by person.

/// What the name of a posed photograph says (KDEF, JAFFE).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PosedName<'n> {
    pub subject: &'n str,
    /// Canonical expression.
    pub expression: &'static str,
    /// KDEF's angle: `FL`, `HL`, `S`, `HR` or `FR`. Empty in JAFFE.
    pub angle: &'n str,
}

/// What the name of a CK+ frame says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FrameName<'n> {
    pub subject: &'n str,
    /// Subject and sequence, `S010_004`.
    pub sequence: &'n str,
}

/// The subject in a file name without extension, by the naming rules of CK+, KDEF and JAFFE. `None` for any other name.
pub(crate) fn subject_in(stem: &str) -> Option<String> {
    let subject = ck_plus_name(stem).map(|name| name.subject);
    let subject = subject.or_else(|| kdef_name(stem).or_else(|| jaffe_name(stem)).map(|name| name.subject));
    subject.map(str::to_owned)
}

/// CK+: subject, sequence and frame, `S010_004_00000017`.
pub(crate) fn ck_plus_name(stem: &str) -> Option<FrameName<'_>> {
    let (sequence, frame) = stem.rsplit_once('_')?;
    let (subject, session) = sequence.split_once('_')?;
    let known = subject.strip_prefix('S').is_some_and(|number| is_number(number, 3))
        && is_number(session, 3)
        && is_number(frame, 8);
    known.then_some(FrameName { subject, sequence })
}

/// KDEF: session, sex and number, expression, angle, `AF01ANS`. Sessions A and B are one person. `AF` at the front is
/// session and sex, in the middle it means afraid.
pub(crate) fn kdef_name(stem: &str) -> Option<PosedName<'_>> {
    let (session, rest) = stem.split_at_checked(1)?;
    let (subject, rest) = rest.split_at_checked(3)?;
    let (pose, angle) = rest.split_at_checked(2)?;
    let expression = if pose == "AF" { "fear" } else { posed_expression(pose)? };
    let known = matches!(session, "A" | "B")
        && subject.strip_prefix(['F', 'M']).is_some_and(|number| is_number(number, 2))
        && matches!(angle, "FL" | "HL" | "S" | "HR" | "FR");
    known.then_some(PosedName { subject, expression, angle })
}

/// JAFFE: person, expression and take, running number, `KA.AN1.39`.
pub(crate) fn jaffe_name(stem: &str) -> Option<PosedName<'_>> {
    let mut parts = stem.split('.');
    let (subject, pose, number) = (parts.next()?, parts.next()?, parts.next()?);
    let (pose, take) = pose.split_at_checked(2)?;
    let expression = if pose == "FE" { "fear" } else { posed_expression(pose)? };
    let known = parts.next().is_none()
        && subject.len() == 2
        && subject.bytes().all(|byte| byte.is_ascii_uppercase())
        && is_number(take, 1)
        && !number.is_empty()
        && is_number(number, number.len());
    known.then_some(PosedName { subject, expression, angle: "" })
}

/// The codes that both sets share; for fear each has one of its own.
fn posed_expression(code: &str) -> Option<&'static str> {
    Some(match code {
        "AN" => "anger",
        "DI" => "disgust",
        "HA" => "happiness",
        "NE" => "neutral",
        "SA" => "sadness",
        "SU" => "surprise",
        _ => return None,
    })
}

fn is_number(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit())
}
