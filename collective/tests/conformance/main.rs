//! What every implementation of `Collective` must do: one suite, run for each of them.
//!
//! Ranks are threads over an in-memory store, but for the one that is killed. Bounds on time are multiples of the
//! group's time-out: a wait that ends later is a hang. What cannot run here says SKIPPED and leaves a note.

mod accounts;
mod failures;
mod file_store;
mod killed;
mod operations;
mod pending;
mod reducer;
mod store;
mod wiring;

use wiring::run;

/// Declares each case once for each implementation: a function cannot declare tests.
macro_rules! conformance {
    ($($about:ident::$case:ident with $ranks:literal;)*) => {
        mod gloo {
            use super::*;
            $(
                #[test]
                fn $case() { run::<wiring::Gloo>(stringify!($case), $ranks, $about::$case::<wiring::Gloo>); }
            )*
        }
        mod faultless {
            use super::*;
            $(
                #[test]
                fn $case() { run::<wiring::Faultless>(stringify!($case), $ranks, $about::$case::<wiring::Faultless>); }
            )*
        }
        mod nccl {
            use super::*;
            $(
                #[test]
                #[ignore = "the conformance suite on NCCL needs a GPU a rank; make gpu-check runs it"]
                fn $case() { run::<wiring::Nccl>(stringify!($case), $ranks, $about::$case::<wiring::Nccl>); }
            )*
        }
    };
}

conformance! {
    operations::all_reduce_gives_every_rank_the_sum with 4;
    operations::all_reduce_changes_a_gradient_in_place with 2;
    operations::broadcast_gives_the_roots_values with 3;
    operations::all_gather_keeps_the_order_of_ranks with 4;
    operations::a_barrier_waits_for_the_last with 3;
    operations::a_world_of_one_does_everything with 1;
    operations::what_c10d_cannot_take_is_refused_by_name with 1;
    operations::ranks_with_the_same_tensors_agree with 3;
    operations::uneven_tensors_are_refused_by_name_on_every_rank with 3;
    pending::several_in_flight_end_in_order with 3;
    pending::slices_of_one_buffer_are_summed_in_place with 2;
    pending::one_in_flight_passes_those_that_wait with 2;
    pending::a_lost_peer_ends_all_that_is_in_flight with 3;
    pending::a_peer_that_hangs_ends_all_that_is_in_flight_by_the_time_out with 2;
    pending::dropped_in_flight_the_tensor_is_quiet_and_the_next_generation_forms with 3;
    pending::dropping_the_group_aborts_what_a_peer_holds_up with 2;
    pending::one_that_outlives_its_group_keeps_no_socket_open with 2;
    reducer::a_reducers_sum_is_that_of_all_ranks_and_zero_where_none_came with 3;
    reducer::ranks_that_find_gradients_in_another_order_agree with 2;
    reducer::what_backward_found_is_on_the_wire_while_it_goes_on with 2;
    reducer::pieces_are_added_before_they_are_summed with 2;
    reducer::a_backward_that_fails_is_told_as_it_failed with 1;
    reducer::a_peer_lost_in_backward_fails_it_and_leaves_no_hook with 2;
    reducer::a_leaf_that_is_reached_twice_is_refused with 1;
    accounts::counters_equal_the_bytes_that_were_given with 2;
    accounts::what_was_refused_is_not_counted with 1;
    accounts::another_thread_reads_the_call_under_way with 2;
    failures::a_rank_without_peers_times_out with 1;
    failures::a_peer_that_does_not_take_part_times_out with 2;
    failures::survivors_of_a_lost_peer_fail_at_once_and_form_the_next_generation with 3;
    killed::survivors_of_a_killed_process_form_a_smaller_group_at_once with 3;
}
