//! The exit code that an error ends the process with.

use super::Error;

/// Exit code of the process: 1 where the work failed, 2 where the command line or the config has to be written
/// differently before it can work.
pub fn exit_code(error: &Error) -> u8 {
    match error {
        Error::ConfigSyntax { .. }
        | Error::UnknownKey { .. }
        | Error::Setting { .. }
        | Error::InvalidDuration { .. }
        | Error::NotACorpus { .. }
        | Error::NoCorpusAbove { .. }
        | Error::MissingInput { .. }
        | Error::ClassesChanged { .. }
        | Error::NotAnExport { .. }
        | Error::AnotherExport { .. }
        | Error::Tls { .. }
        | Error::OpenDoor { .. }
        | Error::Curriculum { .. }
        | Error::HasFaces { .. }
        | Error::NoSuchCommand { .. }
        | Error::NoSuchTable { .. }
        | Error::BinaryOnTerminal { .. }
        | Error::NoSubjects
        | Error::NoInput
        | Error::Experiment(_) => 2,
        Error::Io { .. }
        | Error::Signals(_)
        | Error::Listen { .. }
        | Error::Interrupted { .. }
        | Error::NoLabels { .. }
        | Error::NoTeacher
        | Error::NothingToEvaluate
        | Error::ImagesRefused { .. }
        | Error::ForeignCheckpoint { .. }
        | Error::Plan { .. }
        | Error::Progress { .. }
        | Error::VerifyFound { .. }
        | Error::ReplayDiffers { .. }
        | Error::ExportedStateGone { .. }
        | Error::Images { .. }
        | Error::DemoFailed { .. }
        | Error::Prompt { .. }
        | Error::Task(_)
        | Error::ComputingPanicked
        | Error::Output { .. }
        | Error::Internal { .. }
        | Error::DataFusion(_)
        | Error::Arrow(_) => 1,
        Error::Judging(marginalia_labeling_ui::Error::Store(error)) => store_exit_code(error),
        Error::Judging(
            marginalia_labeling_ui::Error::Listen { .. } | marginalia_labeling_ui::Error::Internal { .. },
        ) => 1,
        Error::Judging(_) => 2,
        Error::Cluster(error) => 1 + u8::from(error.is_usage()),
        Error::Store(error) => store_exit_code(error),
        Error::Trainer(error) => trainer_exit_code(error),
        Error::Datasets(error) => datasets_exit_code(error),
    }
}

fn store_exit_code(error: &marginalia_store::Error) -> u8 {
    use marginalia_store::Error as Store;
    match error {
        Store::NoCorpus { .. }
        | Store::UnsupportedScheme { .. }
        | Store::NoSuchToken { .. }
        | Store::TokenExists { .. }
        | Store::TokenName { .. }
        | Store::NoTime(_) => 2,
        _ => 1,
    }
}

fn trainer_exit_code(error: &marginalia_trainer::Error) -> u8 {
    use marginalia_trainer::Error as Trainer;
    match error {
        Trainer::Setting { .. } | Trainer::UnknownMethod { .. } | Trainer::UnknownBackbone { .. } => 2,
        _ => 1,
    }
}

fn datasets_exit_code(error: &marginalia_datasets::Error) -> u8 {
    use marginalia_datasets::Error as Datasets;
    match error {
        Datasets::InvalidClasses { .. }
        | Datasets::UnknownClass { .. }
        | Datasets::ClassNotInCorpus { .. }
        | Datasets::NumberAsClass { .. }
        | Datasets::UnknownClassMap { .. }
        | Datasets::UnknownReader { .. }
        | Datasets::UnknownOption { .. }
        | Datasets::InvalidOption { .. }
        | Datasets::InvalidOptionValue { .. }
        | Datasets::NotRecognised { .. }
        | Datasets::Ambiguous { .. }
        | Datasets::UnknownSplit { .. }
        | Datasets::InvalidLabelBudget { .. }
        | Datasets::InvalidHoldOut { .. } => 2,
        _ => 1,
    }
}
