//! The messages of a conversation, in all documented forms.

use serde_json::{Value, json};

use super::record::Ids;
use super::words::SENTENCES;
use crate::clock;
use crate::rng::Rng;

/// What a message is made from.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// Numbers that belong to this message alone.
    pub rng: Rng,
    /// 0 is the oldest of its conversation.
    pub number: usize,
    pub conversation_id: &'a str,
    pub interaction_id: &'a str,
    /// When it was sent, in milliseconds.
    pub sent: i64,
    pub reopened: bool,
    pub live_fields: bool,
    pub ids: &'a Ids,
}

/// Who sent message `number`.
pub fn actor_type(number: usize) -> &'static str {
    match number % 12 {
        5 | 10 => "bot",
        7 => "system",
        even if even.is_multiple_of(2) => "user",
        _ => "agent",
    }
}

/// What message `number` is to the reader.
pub fn message_type(number: usize) -> &'static str {
    match number % 12 {
        7 => "system",
        9 => "private",
        _ => "normal",
    }
}

/// The id of a message; the first thing that is taken from its numbers.
pub fn id(rng: &mut Rng) -> String {
    rng.uuid()
}

/// The message object (API document, "The message object").
pub fn record(facts: Facts<'_>) -> Value {
    let Facts {
        mut rng,
        number,
        conversation_id,
        interaction_id,
        sent,
        reopened,
        live_fields,
        ids,
    } = facts;
    let id = id(&mut rng);
    let actor_type = actor_type(number);
    let mut record = json!({"message_parts": parts(&mut rng, number)});
    if let Some(reply_parts) = reply_parts(number) {
        record["reply_parts"] = reply_parts;
    }
    record["app_id"] = json!(ids.app);
    let actor = match actor_type {
        "user" => Some(&ids.user),
        "agent" => ids.agent.as_ref(),
        _ => None,
    };
    if let Some(actor) = actor {
        record["actor_id"] = json!(actor);
        record["org_actor_id"] = json!(rng.next().to_string());
    }
    record["id"] = json!(id);
    record["channel_id"] = json!(ids.channel);
    record["conversation_id"] = json!(conversation_id);
    record["interaction_id"] = json!(interaction_id);
    record["message_type"] = json!(message_type(number));
    record["actor_type"] = json!(actor_type);
    record["created_time"] = json!(clock::text(sent));
    record["user_id"] = json!(ids.user);
    record["restrictResponse"] = json!(false);
    record["botsPrivateNote"] = json!(number % 12 == 10);
    extend(&mut record, &mut rng, number, reopened);
    if live_fields {
        extend_live(&mut record, number);
    }
    record
}

/// Fields as they are seen live.
fn extend_live(record: &mut Value, number: usize) {
    record["stepId"] = json!(format!("step-{number}"));
    let email = json!({"email": {"subject": "Re: refund", "content": "Please see below."}});
    let parts = record["message_parts"].as_array_mut();
    parts.expect("each message has parts").push(email);
    if number % 12 == 7 {
        record["meta_data"] = json!({"isResolved": true});
    }
    let message = record.as_object_mut().expect("a message is an object");
    if message.contains_key("meta_data") {
        message.remove("message_type");
    }
    if message["actor_type"] == "system" {
        message.remove("actor_type");
    }
}

/// Fields that only some messages have.
fn extend(record: &mut Value, rng: &mut Rng, number: usize, reopened: bool) {
    if reopened {
        record["meta_data"] = json!({"isReopen": true});
    }
    match number % 12 {
        2 => record["in_reply_to"] = json!({"message_id": rng.uuid()}),
        3 => record["message_source"] = json!("web"),
        5 => {
            record["isBotsInput"] = json!(true);
            record["bots_input"] = json!(true);
        }
        8 => {
            record["freshchat_channel_id"] = json!(rng.below(1_000_000));
            record["freshchat_conversation_id"] = json!(rng.below(1_000_000_000));
        }
        11 => {
            record["error_code"] = json!(400);
            record["status"] = json!("BAD_REQUEST");
            record["error_message"] = json!("the user has blocked the business");
            record["error_category"] = json!("USER");
        }
        _ => (),
    }
}

/// Parts of a message (API document, "The message part object"); what is taken from its numbers
/// after the id.
pub fn parts(rng: &mut Rng, number: usize) -> Value {
    let text = json!({"text": {"content": rng.pick(SENTENCES)}});
    let second = match number % 12 {
        1 => json!({"file": {
            "fileHash": format!("{:x}", rng.next()), "fileSource": "FRESHCHAT",
            "name": "Größen, \"neu\".xlsx", "url": "https://fc.s3.aws.com/f51/file.xlsx?token=a%2Fb",
            "file_size_in_bytes": 15147, "content_type": "application/vnd.ms-excel",
            "contentType": "application/vnd.ms-excel", "file_extension": ".xlsx"}}),
        2 => json!({"image": {"url": "https://fc-xx-00.s3.xxws.com/img_a7dxx3.png"}}),
        3 => json!({"video": {"url": "https://fc.s3.aws.com/v.mp4", "content_type": "video/mp4"}}),
        9 => json!({"url_button": {
            "url": "https://www.freshworks.com/", "label": "Freshchat", "target": "_self"}}),
        _ => return json!([text]),
    };
    json!([text, second])
}

/// What agents and bots offer as an answer; `None` for most messages.
fn reply_parts(number: usize) -> Option<Value> {
    let part = match number % 12 {
        3 => json!({"collection": {"sub_parts": [
            {"url_button": {"url": "https://developers.freshchat.com/api/",
                "label": "Click for API documentation", "target": "_blank"}},
            {"quick_reply_button": {"custom_reply_text": "Yes, please", "label": "Yes",
                "payload": "yes", "display_order": "1", "type": "RESEND_OTP"}}]}}),
        5 => json!({"collection": {"sub_parts": [
            {"quick_reply_button": {"label": "Value 1"}},
            {"help_text": {"v1_help_text_fragment": {"fragment_type": 8,
                "content_type": "text/html", "content": "Please type 1", "position": 0},
                "content": "Please type 1"}},
            {"attachment_input": {"fragmentType": 15, "contentType": "text/html", "content": "",
                "position": 0, "translatedContent": null, "sourceLang": "en", "destLang": "de",
                "inputType": "IMAGE"}}]}}),
        9 => json!({"template_content": {"type": "carousel", "sections": [
            {"name": "carousel_title", "parts": [{"text": {"content": "Choose one"}}]},
            {"name": "cards", "parts": [{"template_content": {"type": "carousel_card_default",
                "sections": [{"name": "callback", "parts": [
                    {"callback": {"payload": "Freshdesk selected", "label": "Select"}}]}]}}]}]}}),
        10 => json!({"collection": {"sub_parts": [
            {"reference": {"reference_id": "12", "placeholder_reference_id": "3",
                "label": "Refunds"}},
            {"text_input": {"fragmentType": 14, "contentType": "text/html", "content": "",
                "position": 1, "translatedContent": "", "sourceLang": "en", "destLang": "en",
                "inputType": "EMAIL", "placeholderText": "a@b.c", "exampleText": "a@b.c",
                "validations": [{"type": "INPUT_TYPE_VALIDATION",
                    "validationErrorText": "no address"}]}}]}}),
        _ => return None,
    };
    Some(json!([part]))
}
