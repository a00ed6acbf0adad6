//! Each model is a test, so that one can be run by its name.

#![forbid(unsafe_code)]

use entra_redis_loom::models;

macro_rules! tests {
    ($($subject:ident { $($model:ident)* })*) => {
        $(mod $subject {
            $(#[test]
            fn $model() {
                super::models::$subject::$model();
            })*
        })*
    };
}

tests! {
    sync {
        stores_and_looks_have_one_order
        a_ring_for_one_is_heard_by_one
        a_ring_for_all_is_not_kept
    }
    admission {
        there_are_no_more_permits_than_may_be
        nobody_waits_beside_a_free_permit
        each_permit_that_comes_back_is_passed_on
        everybody_who_waits_is_served
        who_gives_up_leaves_the_turn_to_the_next_one
        who_came_first_is_served_first
    }
    reply {
        a_caller_gets_its_answer
        the_last_task_that_has_looked_is_woken
        a_slot_that_is_used_again_has_no_other_ones_answer
        a_slot_is_kept_until_its_caller_is_through
    }
    queue {
        no_request_is_left_with_a_driver_that_sleeps
        permits_are_back_before_answers_are_seen
        a_slot_from_the_queue_has_no_other_ones_answer
        nobody_is_forgotten_when_a_connection_ends
        nobody_is_forgotten_when_requests_are_given_back
        those_who_wait_for_a_link_are_woken
        a_command_that_is_just_queued_does_not_count_as_answered
        a_link_that_is_down_stays_down
    }
}
