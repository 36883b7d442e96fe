"""Which test stands for which sentence of the plan: architecture §4, from "each with a test" to the ablation.

The sentences are those of ``docs/architecture.md``, word for word and in order; ``test_manifest.py`` holds the two
together in both directions, as well as this table and the tests of this room. A sentence has tests, named as
``file::function``, or a typed reason why it waits.
"""

from __future__ import annotations

import enum
from typing import Final


class Later(enum.Enum):
    """Why a sentence of the plan has no test yet (issue 2, "What it must reach")."""

    PAGE = "page, claim and repeat come with issue H; until then the held call names `doorward consent`"


Proof = tuple[str, ...] | Later


ITEMS: Final[tuple[tuple[str, Proof], ...]] = (
    (
        "An id is in flight while HELD, SENT or ANSWER_HELD; a second use is refused.",
        (
            "test_ids::test_an_id_that_is_in_flight_cannot_be_used_again",
            "test_ids::test_a_second_use_that_cannot_be_recorded_is_not_answered_in_the_name_of_the_first",
            "test_ids::test_a_servers_second_use_of_its_id_is_refused_and_does_not_look_like_the_answer",
            "test_ids::test_each_side_counts_its_own_ids",
            "test_ids::test_an_id_is_free_again_once_its_request_was_answered",
        ),
    ),
    (
        (
            "A request is open only once its Record succeeded and it was sent; tables are bounded; an answer "
            "nobody asked for ends silently."
        ),
        (
            "test_ids::test_a_request_is_open_only_once_its_record_succeeded",
            "test_ids::test_taking_back_one_sides_request_leaves_the_other_sides_alone",
            "test_ids::test_what_was_not_sent_cannot_be_answered",
            "test_ids::test_the_table_of_open_requests_is_bounded",
            "test_ids::test_the_table_of_questions_is_bounded",
            "test_errands::test_a_list_without_an_end_refuses_what_waits",
            "test_errands::test_a_list_with_too_many_tools_refuses_what_waits",
            "test_streams::test_many_kinds_of_refusals_share_the_bounded_windows",
            "test_ids::test_an_answer_that_nobody_asked_for_ends_silently",
            "test_ids::test_a_second_answer_ends_silently",
            "test_ids::test_an_answer_from_the_side_that_asked_is_no_answer",
        ),
    ),
    (
        "Interpretation is total; `true` is not `1`.",
        (
            "test_ids::test_the_number_and_the_text_are_two_ids",
            "test_ids::test_what_is_neither_text_nor_integer_is_no_id",
            "test_ids::test_only_the_very_id_is_cancelled",
            "test_streams::test_progress_of_nothing_that_is_open_ends_silently",
            "../property/test_interpretation_is_total::test_interpretation_is_total",
        ),
    ),
    (
        (
            "**Cancellation**: legacy by notification only (a disconnect is not a cancel); modern HTTP by closing "
            "the stream."
        ),
        (
            "test_cancellation::test_the_cancellation_of_a_sent_request_reaches_the_server_recorded",
            "test_cancellation::test_only_who_asked_may_cancel",
            "test_cancellation::test_a_server_cancels_its_own_question_and_only_that",
            "test_cancellation::test_a_servers_cancellation_of_what_the_client_was_sent_reaches_the_client",
            "test_cancellation::test_a_client_that_leaves_cancels_nothing_that_was_sent",
            "test_cancellation::test_a_call_that_waits_for_definitions_is_judged_and_sent_even_if_its_client_left",
            "test_cancellation::test_a_late_answer_to_a_cancelled_request_ends_silently",
            "test_cancellation::test_the_id_of_a_cancelled_request_is_not_free_while_its_answer_may_still_come",
            "test_cancellation::test_a_second_cancellation_ends_silently",
            "test_cancellation::test_initialize_cannot_be_cancelled",
            "test_cancellation::test_a_cancellation_is_bound_to_a_request_and_not_to_a_text_in_its_reason",
            "test_exchanges::test_closing_the_stream_of_a_sent_request_cancels_it_recorded",
            "test_exchanges::test_closing_one_stream_leaves_every_other_request_alone",
            "../gateway/test_serve_streams::test_a_legacy_disconnect_cancels_nothing",
            "../gateway/test_serve_modern::test_closing_a_stream_cancels_its_request_at_a_url_and_frees_its_place",
            "../gateway/test_serve_modern::test_closing_a_stream_cancels_its_request_at_a_child",
        ),
    ),
    (
        "Either voids the ticket held for that request.",
        (
            "test_cancellation::test_a_cancellation_voids_the_ticket",
            "test_cancellation::test_the_cancellation_of_what_was_not_sent_stays_here_and_is_recorded",
            "test_cancellation::test_a_call_that_was_cancelled_while_definitions_were_fetched_is_never_sent",
            "test_cancellation::test_a_client_that_leaves_voids_what_was_held_for_it",
            "test_cancellation::test_a_client_that_leaves_answers_what_its_server_had_asked",
            "test_exchanges::test_closing_the_stream_of_what_was_not_sent_on_tells_nobody",
        ),
    ),
    (
        "At `Answered` the relay re-checks liveness, principal, policy digest, pin, expiry.",
        (
            "test_answered::test_an_approval_does_not_outlive_what_it_was_given_for",
            "test_answered::test_an_approval_in_the_last_microsecond_counts",
            "test_answered::test_an_approval_of_other_bytes_releases_nothing",
            "test_answered::test_an_approval_is_void_once_its_request_is_gone",
            "test_answered::test_an_approval_is_not_carried_over_to_a_second_request_of_the_same_id",
            "test_answered::test_an_approval_is_void_once_the_tools_definition_changed",
            "test_answered::test_an_approval_is_void_once_the_server_said_that_its_tools_changed",
            "test_answered::test_an_approval_outlives_a_change_of_another_tool",
            "test_answered::test_who_answered_by_what_and_about_which_digest_is_recorded",
            "test_answered::test_a_persons_no_ends_the_request_and_says_so",
            "test_answered::test_a_ticket_names_everything_that_it_is_bound_to",
            "test_answered::test_nobody_attached_refuses_at_once_and_holds_nothing",
            "test_answered::test_a_server_that_asks_while_nobody_is_attached_is_refused_at_once",
            "test_answered::test_a_call_that_was_held_first_settles_the_era_of_its_link",
            "test_answered::test_news_of_changed_tools_do_not_answer_for_a_person",
        ),
    ),
    (
        "An unknown or spent ticket is a finding, never an exception.",
        ("test_answered::test_an_unknown_ticket_is_a_finding", "test_recording::test_a_ticket_is_spent_once"),
    ),
    (
        "**Perform**: the commands of one event are one unit; units enter one FIFO, synchronously.",
        ("test_perform_order::test_what_waits_is_recorded_in_one_commit_and_sent_in_order",),
    ),
    (
        ("What all links gave in two turns of the loop is one commit, then the Sends leave in order (ADR 0009)."),
        (
            "test_perform_order::test_what_waits_is_recorded_in_one_commit_and_sent_in_order",
            "test_perform_order::test_what_several_links_wait_for_is_recorded_in_one_commit",
            "test_perform_order::test_what_was_sent_can_be_read_in_the_archive",
            "test_recording::test_the_driver_notices_a_send_without_its_record",
            "test_recording::test_a_request_is_durable_and_its_result_is_written",
            "test_recording::test_an_error_of_the_server_is_an_outcome_too",
            "test_recording::test_a_list_is_written",
            "test_recording::test_logs_are_written_and_announcements_are_durable",
            "test_recording::test_what_a_client_answers_to_its_server_is_durable",
            "test_recording::test_asking_releasing_and_refusing_are_durable",
            "test_recording::test_the_link_begins_and_ends_durably",
        ),
    ),
    (
        (
            "A failed Record returns as `NotRecorded`: the relay closes that open request and answers with fixed, "
            "content-free bytes; only such answers leave unrecorded."
        ),
        (
            "test_perform_order::test_a_record_that_fails_sends_nothing_but_fixed_bytes",
            "test_perform_order::test_a_unit_that_spoils_the_commit_of_several_fails_alone_and_the_others_go_out_in_order",
            "test_recording::test_a_request_that_cannot_be_recorded_is_not_sent",
            "test_recording::test_a_question_that_cannot_be_recorded_is_not_asked",
            "test_recording::test_an_approval_that_cannot_be_recorded_releases_nothing",
            "test_recording::test_a_persons_no_that_cannot_be_recorded_still_ends_the_wait",
            "test_recording::test_an_expiry_that_cannot_be_recorded_still_ends_the_wait",
            "test_recording::test_a_refusal_that_cannot_be_recorded_says_only_that",
            "test_recording::test_a_frame_that_cannot_be_read_nor_recorded_is_still_answered",
            "test_recording::test_a_servers_question_that_cannot_be_recorded_is_answered_to_the_server",
            "test_recording::test_a_question_of_our_own_that_cannot_be_recorded_refuses_what_waited_for_it",
            "test_recording::test_an_initialize_that_cannot_be_recorded_may_be_tried_again",
            "test_recording::test_an_answer_to_initialize_that_cannot_be_recorded_leaves_the_handshake_to_be_tried_again",
            "test_recording::test_a_client_whose_word_that_it_is_ready_was_not_recorded_is_not_ready",
            "test_recording::test_a_notification_that_cannot_be_recorded_vanishes",
            "test_recording::test_the_answers_that_leave_unrecorded_are_free_of_content",
        ),
    ),
    (
        (
            "If an *outcome* cannot be recorded the result is withheld (`{executed: true, recorded: false}`), a "
            "bounded list of owed outcomes is kept, new intents are refused until it is written."
        ),
        (
            "test_recording::test_an_outcome_that_cannot_be_recorded_is_withheld_and_owed",
            "test_recording::test_a_held_answer_whose_question_cannot_be_recorded_is_withheld",
            "test_recording::test_a_clients_answer_that_cannot_be_recorded_does_not_reach_its_server",
            "test_recording::test_what_is_owed_is_written_before_the_next_intent",
            "test_recording::test_what_is_owed_is_bounded_and_no_intent_passes_beyond",
            "test_recording::test_a_disk_that_recovered_is_paid_and_the_link_lives_on",
            "test_recording::test_an_end_that_cannot_be_recorded_is_told_without_content",
        ),
    ),
    (
        "Slow peers: write timeout, then `Undelivered`; queues bounded in bytes.",
        (
            "test_perform_order::test_a_peer_that_does_not_read_is_given_up_after_a_time",
            "test_perform_order::test_a_queue_is_bounded_in_bytes_and_its_readers_wait",
            "test_endings::test_what_was_not_delivered_is_recorded_as_that",
        ),
    ),
    (
        (
            "**Hop by hop**: id, progress token, subscription id, session id, SSE event ids, trace context; where "
            "clients share a link the door renumbers the first three by their exchange (ADR 0007), and each "
            "transport has its own of the next two."
        ),
        (
            "test_digests::test_what_changes_from_hop_to_hop_is_neither_shown_nor_digested",
            "test_digests::test_hop_by_hop_members_still_reach_the_server",
            "test_digests::test_the_trace_context_is_recorded",
        ),
    ),
    (
        "Everything else is end to end, and only that is digested, shown and bound.",
        (
            "test_digests::test_everything_else_is_digested",
            "test_digests::test_what_is_released_is_byte_for_byte_what_was_shown",
            "test_digests::test_what_a_legacy_server_asks_is_shown_as_the_client_gets_it",
            "test_inputs::test_what_is_shown_of_a_question_is_what_the_client_gets",
            "test_digests::test_what_is_sent_on_is_our_encoding_and_not_the_received_bytes",
        ),
    ),
    (
        (
            "**Solicited inputs** (modern): on an `input_required` that passes, `seal.py` seals `requestState` "
            "(server's own state, keys asked with the digest of each ask, ticket, principal, server, method, "
            "params digest, expiry; HMAC, key from the door)."
        ),
        (
            "test_inputs::test_what_passes_is_sealed_to_its_request",
            "test_inputs::test_a_retry_restores_the_servers_own_state_and_carries_the_answers",
            "test_inputs::test_a_server_that_gave_no_state_is_given_none",
            "test_inputs::test_a_state_without_questions_passes_sealed_and_comes_back_whole",
            "test_inputs::test_the_seal_is_an_hmac_over_all_of_it",
            "test_inputs::test_several_questions_are_one_decision_and_one_ticket_that_shows_all",
            "test_inputs::test_one_undeclared_question_among_several_refuses_all_unasked",
            "test_inputs::test_a_question_that_is_not_of_its_form_is_refused",
            "test_inputs::test_where_nothing_may_be_asked_a_question_is_refused",
            "test_inputs::test_a_question_smuggled_into_a_complete_result_is_refused",
        ),
    ),
    (
        "On a retry a bad seal is refused; entries of `inputResponses` that nobody asked for are stripped and noted.",
        (
            "test_inputs::test_a_bad_seal_is_refused",
            "test_inputs::test_an_expired_seal_is_refused_and_one_that_just_has_not_is_not",
            "test_inputs::test_a_seal_is_not_replayed_for_other_arguments",
            "test_inputs::test_a_seal_is_not_replayed_for_another_method",
            "test_inputs::test_an_answer_that_nobody_asked_for_is_stripped_and_noted",
            "test_inputs::test_answers_without_a_state_are_stripped",
        ),
    ),
    (
        "This ties answers to tickets without shared state.",
        (
            "test_inputs::test_a_seal_holds_for_its_own_principal_only",
            "test_inputs::test_a_seal_holds_for_its_own_server_only",
            "test_inputs::test_a_retry_after_a_lost_answer_is_allowed_and_recorded_each_time",
            "test_inputs::test_members_of_the_envelope_may_differ_in_a_retry",
        ),
    ),
    (
        (
            "**Headers**: the connector computes `Mcp-*` from the final body and the pinned schema; received ones "
            "are facts, compared by a gate."
        ),
        (
            "../protocol/test_http_headers::test_what_is_required_is_what_the_sdk_sends_and_takes",
            "../protocol/test_http_headers::test_headers_that_do_not_say_what_the_body_says_are_named",
            "../judge/test_header_agreement::test_a_version_is_compared_before_it_is_judged",
            "../judge/test_header_agreement::test_what_agrees_passes",
            "../gateway/test_serve_eras::test_a_body_that_its_headers_contradict_is_refused_by_the_code_for_it",
            "../gateway/test_serve_eras::test_what_goes_on_has_headers_of_our_own_and_none_of_the_clients",
        ),
    ),
    (
        (
            "**Resumption** belongs to the doors: own event ids, bounded replay of bytes already judged, bound to "
            "session and principal."
        ),
        (
            "../gateway/test_serve_streams::test_a_stream_is_resumed_with_exactly_what_was_missed_on_it",
            "../gateway/test_serve_streams::test_another_sessions_event_id_resumes_nothing",
            "../gateway/test_serve_streams::test_a_gap_resumes_nothing_rather_than_a_part_that_looks_whole",
            "../gateway/test_serve_streams::test_a_standing_stream_keeps_its_ids_however_many_streams_come_and_go",
            "../gateway/test_serve_sessions::test_another_users_session_is_answered_as_one_that_is_not_there",
        ),
    ),
    (
        (
            "**Streams**: progress above 10/s per exchange is a run (opening entry, closing entry with count and "
            "running hash each second and at the end)."
        ),
        (
            "test_streams::test_progress_up_to_the_limit_is_recorded_singly",
            "test_streams::test_progress_above_the_limit_is_a_run_with_a_count_and_a_hash",
            "test_streams::test_progress_below_the_limit_in_each_window_never_becomes_a_run",
            "test_streams::test_a_run_ends_with_its_request",
            "test_streams::test_a_run_that_was_opened_is_closed_even_if_nothing_followed",
            "test_streams::test_a_run_ends_with_a_cancellation_and_with_the_link",
            "test_streams::test_a_client_reports_progress_of_what_its_server_asked",
            "test_streams::test_nobody_reports_progress_of_what_they_asked_themselves",
        ),
    ),
    (
        "Results store digest, size, findings; bodies over 64 KiB are stored once, by digest.",
        (
            "test_streams::test_a_result_is_stored_by_digest_and_size_and_not_by_content",
            "test_streams::test_a_body_of_64_kib_stands_in_its_entry_and_a_longer_one_beside_it",
            "test_streams::test_the_archive_holds_the_masked_body_and_a_commitment_to_the_original",
            "test_streams::test_a_log_message_is_masked_on_the_wire_and_in_the_archive",
        ),
    ),
    (
        (
            "Refusals by gates are recorded once per link and window with a count: a flood must not become a "
            "flood of records."
        ),
        (
            "test_streams::test_refusals_by_gates_are_recorded_once_in_a_window_with_a_count",
            "test_streams::test_each_kind_of_refusal_has_its_window",
            "test_streams::test_unreadable_frames_are_counted_too",
            "test_streams::test_everything_counted_is_closed_with_the_link",
        ),
    ),
    (
        "**While a ticket is open** the door sends keep-alives (progress where a token was given).",
        (
            "test_told::test_who_gave_a_token_sees_a_sign_of_life_while_a_person_is_asked",
            "test_told::test_who_gave_no_token_sees_nothing_until_the_end",
            "test_told::test_a_held_answer_shows_signs_of_life_too",
            "test_told::test_nothing_is_said_of_a_ticket_that_was_answered",
            "test_told::test_a_held_call_that_nobody_answers_ends_as_a_tool_result_that_names_the_way",
        ),
    ),
    (
        (
            "After `consent.hold_seconds` (45) the call ends with a tool result `isError` naming the page's "
            "address and leaves a claim: an approval within five minutes releases one repeat with the same "
            "principal, session, verified server, policy digest and action digest."
        ),
        Later.PAGE,
    ),
    ("A cancelled request leaves none.", Later.PAGE),
    (
        (
            "*Action digest* = SHA-256(domain, end-to-end bytes of our encoding); *ticket digest* = "
            "SHA-256(domain, nonce, action digest)."
        ),
        (
            "test_digests::test_the_digests_are_those_of_the_plan",
            "test_answered::test_no_two_tickets_are_alike",
            "test_inputs::test_digests_name_their_domain",
        ),
    ),
    (
        (
            "RFC 8785 serves only definition fingerprints (integers it refuses are written as tagged decimal "
            "strings) and exported bundles."
        ),
        (
            "../protocol/test_tool_definitions::test_a_fingerprint_is_that_of_the_rfc_8785_form",
            "../protocol/test_tool_definitions::test_an_integer_that_rfc_8785_refuses_has_a_fingerprint_of_its_own",
        ),
    ),
    (
        (
            "The durable entry that releases a ticket carries its id, and the store has `UNIQUE(ticket)`: a "
            "second spend cannot be recorded, so cannot be sent."
        ),
        (
            "test_recording::test_a_spend_that_the_archive_has_seen_cannot_be_recorded_so_cannot_be_sent",
            "test_recording::test_a_ticket_is_spent_once",
        ),
    ),
    ("Salts come from the door.", ("test_recording::test_each_commitment_has_a_salt_of_its_own",)),
)

ELSEWHERE: Final = {
    "test_told": "architecture §5, the table of what peers are told",
    "test_errands": "issue 2: definitions and eras that Doorward asks for by itself",
    "test_endings": "architecture §4 and §9: sides that leave, frames that cannot be read",
    "test_exchanges": "architecture §4 and §9: exchanges of HTTP that end before their answer, and where messages go",
    "test_crashes": "architecture §1, idea 3: a crash refuses",
    "test_standing": "architecture §7, what a server asks, and `unsafe_standing_approvals` (issue 3)",
    "test_grants": "architecture §7, what needs a grant, and revisions that cannot be judged (issue 3)",
    "test_manifest": "this table",
}
"""Rooms of tests that stand for other pages than §4."""

ABOUT_THE_DRIVER: Final = ("test_recording::test_exclusions_have_types",)
