"""A gateway of short messages (SMPP 3.4), a mail server (SMTP) and a page that lists what customers received.

It keeps what it took in a file, so a killed sandbox forgets nothing. It never drops a double: a message that was sent
twice is listed twice, because that is what a customer would see.

What a client of the gateway does
---------------------------------
- `bind_transceiver` with any `system_id` and password (up to 8 characters). Receipts go to any session with the same
  `system_id`, also one that binds later.
- `submit_sm` with `destination_addr` in digits (`dest_addr_ton=1`, `dest_addr_npi=1` and `8613800001111` for a number
  with its country; it is listed as `+8613800001111`), and `registered_delivery=1` to be told what became of it.
- Our notification id, up to 36 characters of ASCII, in the vendor TLV 0x1501 (`OUT_ID_TAG`) of every segment. It is
  what `GET /messages?out_id=` answers by: whoever lost the answer to a `submit_sm` asks there whether it was taken.
- `data_coding` 0: GSM 03.38, one character an octet, not packed (escape 0x1B for the extension), at most 160 octets;
  8: UTF-16BE, at most 140 octets; 3: Latin-1, at most 140 octets. More is refused with ESME_RINVMSGLEN.
- A longer text goes in segments: either `esm_class=0x40` and a user data header (`05 00 03 ref total number`, or
  `06 08 04 ref ref total number` with 16 bits) at the head of `short_message`, header included in the limit, so 153
  characters of GSM or 67 UTF-16 units each; or the TLVs sar_msg_ref_num, sar_total_segments, sar_segment_seqnum; or
  the whole text in the TLV message_payload. It is listed once, when all segments have come.
- Keep at most 64 `submit_sm` unanswered. ESME_RTHROTTLED and ESME_RMSGQFUL mean: again later; ESME_RINVDSTADR and
  ESME_RINVMSGLEN: never.
- A receipt is a `deliver_sm` with `esm_class=4`, TLVs receipted_message_id (the id of the answer, NUL at its end) and
  message_state (2 delivered, 5 undeliverable), and the text `id:... sub:001 dlvrd:001 submit date:... done date:...
  stat:DELIVRD err:000 text:`. Each segment has its own. One that is not acknowledged comes again.

What a client of the mail server does
-------------------------------------
- Plain SMTP, UTF-8 allowed, no login. Our notification id is the local part of `Message-ID: <id@domain>`.
- Recipients at `bounce.example` are always refused with 550.
"""

OUT_ID_TAG = 0x1501
"""Vendor-specific TLV of `submit_sm` with our notification id."""
