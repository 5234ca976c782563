-- One training epoch of a finished round, accepted or not.
-- round: the round
-- epoch: epoch within the round, from 1
-- steps: optimiser steps in it
-- loss: mean total loss
-- loss_supervised: mean supervised cross-entropy
-- loss_unlabelled: mean unlabelled loss
-- loss_contrastive: mean contrastive loss
-- learning_rate: learning rate
-- acceptance_rate: share of unlabelled samples that fell into subset I
-- subset_one: unlabelled samples in subset I, over all steps
-- subset_two: unlabelled samples in subset II, over all steps
-- labelled_accuracy: accuracy of the teacher on the labelled set, fraction
-- validation_accuracy: accuracy of the teacher on the validation split, fraction; null without one
-- validation_macro_f1: macro-F1 on the validation split, fraction; null without one
-- validation_nll: mean negative log-likelihood on the validation split; null without one, and in epochs of older versions
-- validation_brier: mean Brier score on the validation split; null as validation_nll
-- validation_ece: expected calibration error on the validation split, 15 bins of equal width; null as validation_nll
-- validation_ece_equal_mass: the same over bins of equal mass
-- temperature: temperature fitted on the validation split; null as validation_nll, and where no temperature is best
-- seconds: wall-clock seconds
-- finished_at: when it ended
select e.round, e.epoch, e.steps, e.loss, e.loss_supervised, e.loss_unlabelled, e.loss_contrastive, e.learning_rate,
       e.acceptance_rate, e.subset_one, e.subset_two, e.labelled_accuracy, e.validation_accuracy, e.validation_macro_f1,
       e.validation_nll, e.validation_brier, e.validation_ece, e.validation_ece_equal_mass, e.temperature, e.seconds,
       e.finished_at
from epochs_all e
left semi join rounds r on e.round = r.round
