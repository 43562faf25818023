//! The small lists of an account: agents, groups, channels, roles, ….

use serde_json::{Value, json};

use super::words::{AGENT_NAMES, CHANNEL_NAMES, GROUP_NAMES, SENTENCES, STATUS_NAMES};
use crate::clock;
use crate::options::Options;
use crate::rng::Rng;

/// Makes the list of a sort from the account's options and time range.
#[derive(Clone, Copy, Debug)]
pub struct Maker<'a> {
    pub options: &'a Options,
    pub start: i64,
    pub end: i64,
}

impl Maker<'_> {
    fn rng(&self, sort: &str, index: usize) -> Rng {
        Rng::of(self.options.seed, sort, index as u64)
    }

    fn time(&self, rng: &mut Rng) -> String {
        clock::text(rng.between(self.start, self.end - 1))
    }

    /// The fields that the commercial connector lists for nearly every stream.
    fn add_times(&self, record: &mut Value, rng: &mut Rng) {
        if self.options.quirks.connector_fields {
            record["created_time"] = json!(clock::text(self.start));
            record["updated_time"] = json!(self.time(rng));
        }
    }

    /// API document, "The accounts object".
    pub fn account(&self) -> Value {
        let mut rng = self.rng("account", 0);
        json!({
            "organisation_id": 1_775_382_926_361_u64,
            "organisation_domain": "example.freshworks.com",
            "account_id": rng.below(10_000_000_000),
            "account_domain": "example.freshchat.com",
            "app_id": rng.uuid(),
            "bundle_id": 991_773_928_113_u64,
            "bundle_type": "support360",
            "plan_type": "Enterprise Annual Plan 2021",
            "datacenter": "US",
            "web_chat_id": rng.uuid(),
        })
    }

    /// API document, "List all agent statuses".
    pub fn agent_statuses(&self) -> Vec<Value> {
        let make = |index: usize| {
            let id = self.rng("status", index).uuid();
            json!({"id": id, "name": named(STATUS_NAMES, index)})
        };
        (0..self.options.sizes.agent_statuses).map(make).collect()
    }

    /// API document, "The agent object"; agents belong to some of `groups`.
    pub fn agents(&self, groups: &[Value], statuses: &[Value]) -> Vec<Value> {
        let make = |index| self.agent(index, groups, statuses);
        (0..self.options.sizes.agents).map(make).collect()
    }

    fn agent(&self, index: usize, groups: &[Value], statuses: &[Value]) -> Value {
        let mut rng = self.rng("agent", index);
        let name = named(AGENT_NAMES, index);
        let (first_name, last_name) = name.split_once(' ').unwrap_or((&name, ""));
        let (role_id, role_name) = [("AGENT", "Agent"), ("ACCOUNT_ADMIN", "Account Admin")]
            [usize::from(index.is_multiple_of(6))];
        let of_group = |(at, group): (usize, &Value)| {
            (at % 2 == index % 2 || at == index % 7).then(|| group["id"].clone())
        };
        let status = match statuses.get(index / 3).filter(|_| index % 3 == 2) {
            Some(status) => status.clone(),
            None => json!({"name": "Active on Intelli Assign"}),
        };
        let mut agent = json!({
            "groups": groups.iter().enumerate().filter_map(of_group).collect::<Vec<_>>(),
            "role_id": role_id,
            "role_name": role_name,
            "is_deactivated": index % 5 == 4,
            "is_deleted": false,
            "locale": "en-us",
            "timezone": "Asia/Kolkata",
            "availability_status": if index % 3 == 2 { "UNAVAILABLE" } else { "AVAILABLE" },
            "agent_status": status,
            "routing_type": rng.pick(&["INTELLIASSIGN", "OCR", "DISABLED"]),
            "agent_capacity": rng.below(8),
            "created_time": self.time(&mut rng),
            "id": rng.uuid(),
            "first_name": first_name,
            "last_name": last_name,
            "email": format!("agent{index}@example.com"),
            "avatar": {},
            "social_profiles": [],
            "login_status": index % 3 != 1,
        });
        if self.options.quirks.odd_records.float_integer {
            agent["agent_capacity"] = json!(5.0);
        }
        if index.is_multiple_of(2) {
            self.extend_agent(&mut agent, &mut rng);
        }
        agent
    }

    /// The fields that only some answers have.
    fn extend_agent(&self, agent: &mut Value, rng: &mut Rng) {
        agent["avatar"] = json!({"url": "https://web.freshchat.com/img/johndoe.png"});
        agent["biography"] = json!(rng.pick(SENTENCES));
        agent["freshid_group_ids"] = json!([rng.next().to_string()]);
        agent["freshid_uuid"] = json!(rng.next().to_string());
        agent["license_type"] = json!("fulltime");
        agent["org_contact_id"] = json!("");
        agent["phone"] = json!(rng.below(1_000_000_000).to_string());
        agent["scope"] = json!(rng.pick(&["Global", "Group", "Me", "None"]));
        agent["skill_id"] = json!(rng.uuid());
        agent["social_profiles"] = json!([{"type": "facebook", "id": "alice.adrian"}]);
        agent["freshchat_access"] = json!(true);
        agent["round_robin_access"] = json!(false);
        if self.options.quirks.connector_fields {
            agent["freshdesk_agent_id"] = json!(rng.below(1_000_000_000).to_string());
            agent["updated_time"] = json!(self.time(rng));
        }
    }

    /// API document, "The group object".
    pub fn groups(&self) -> Vec<Value> {
        let make = |index: usize| {
            let mut rng = self.rng("group", index);
            let mut group = json!({
                "id": rng.uuid(),
                "name": named(GROUP_NAMES, index),
                "description": rng.pick(SENTENCES),
                "routing_type": rng.pick(&["OCR", "INTELLIASSIGN", "DISABLED"]),
                "routing_logic": rng.pick(&["OCR", "LOAD_BASED", "ROUND_ROBIN", "DISABLED"]),
                "chat_group_id": rng.below(1_000_000).to_string(),
            });
            self.add_times(&mut group, &mut rng);
            group
        };
        (0..self.options.sizes.groups).map(make).collect()
    }

    /// API document, "The topic object", without `locale`.
    pub fn channels(&self) -> Vec<Value> {
        let make = |index: usize| {
            let mut rng = self.rng("channel", index);
            let icon = match index % 2 {
                0 => json!({}),
                _ => json!({"url": "https://fc-pics-bkt-00.s3.aws.com/img_a6.jpeg"}),
            };
            let text = json!({"text": {"content": rng.pick(SENTENCES)}});
            let mut channel = json!({
                "id": rng.uuid(),
                "icon": icon,
                "updated_time": self.time(&mut rng),
                "enabled": index % 4 != 3,
                "public": index % 3 != 2,
                "name": named(CHANNEL_NAMES, index),
                "tags": if index.is_multiple_of(2) { json!([]) } else { json!(["sales", "größe"]) },
                "welcome_message": {"message_parts": [text], "message_type": "normal"},
                "source": "WEB",
            });
            if self.options.quirks.connector_fields {
                channel["created_time"] = json!(clock::text(self.start));
            }
            if self.options.quirks.live_fields {
                let welcome = &mut channel["welcome_message"];
                for flag in ["isBotsInput", "botsPrivateNote", "restrictResponse"] {
                    welcome[flag] = json!(false);
                    welcome["message_parts"][0][flag] = json!(false);
                }
            }
            channel
        };
        (0..self.options.sizes.channels).map(make).collect()
    }

    /// API document, "The role object".
    pub fn roles(&self) -> Vec<Value> {
        let known = [
            ("ACCOUNT_ADMIN", "Account Admin"),
            ("ADMIN", "Admin"),
            ("AGENT", "Agent"),
        ];
        let make = |index: usize| {
            let mut rng = self.rng("role", index);
            let (id, name) = match known.get(index) {
                Some((id, name)) => (json!(id), json!(name)),
                None => (json!(rng.uuid()), json!(format!("Internal agent {index}"))),
            };
            let mut role = json!({
                "id": id,
                "name": name,
                "is_custom_role": index >= known.len(),
                "description": "Account partner with agent level permissions.",
            });
            if self.options.quirks.connector_fields {
                role["is_default"] = json!(index == 2);
                role["permissions"] = json!([{"name": "inbox", "access": "write"}]);
            }
            self.add_times(&mut role, &mut rng);
            role
        };
        (0..self.options.sizes.roles).map(make).collect()
    }

    /// API document, "The outbound message object", with `to` as an object.
    pub fn outbound_messages(&self) -> Vec<Value> {
        let make = |index: usize| self.outbound_message(index);
        (0..self.options.sizes.outbound_messages)
            .map(make)
            .collect()
    }

    fn outbound_message(&self, index: usize) -> Value {
        let mut rng = self.rng("outbound", index);
        let failed = index % 4 == 3;
        let header = match index % 2 {
            0 => json!({"type": "image", "media_url": "https://sample.in/sample.jpg"}),
            _ => json!({"type": "text", "params": [{"data": "John Doe"}]}),
        };
        let mut message = json!({
            "message_id": rng.uuid(),
            "from": {"phone_number": "+919999999999"},
            "provider": "whatsapp",
            "to": {"phone_number": format!("+91{}", 7_000_000_000 + rng.below(1_000_000_000))},
            "data": {"message_template": {
                "storage": if index.is_multiple_of(3) { "none" } else { "conversation" },
                "template_name": "shipping_update",
                "namespace": "cdb2df51_9816_c754_c5a4_64cdabdcad3f",
                "language": {"policy": "deterministic", "code": "en_US"},
                "rich_template_data": {
                    "header": header,
                    "body": {"params": [{"data": rng.pick(SENTENCES)}]},
                    "button": {"subType": "url", "params": [{"data": "live-chat-software"}]}},
            }},
            "request_id": self.rng("outbound-request", index / 3).uuid(),
            "status": match failed {
                true => "Failed",
                false => rng.pick(&["Accepted", "Sent", "Delivered"]),
            },
            "created_on": rng.between(self.start, self.end - 1) / 1000,
        });
        if failed {
            message["failure_code"] = json!("OBM001");
            message["failure_reason"] = json!("no template exists");
        }
        if index % 5 == 1 {
            message["data"]["message_template"]["template_data"] = json!([{"data": "old style"}]);
        }
        if self.options.quirks.connector_fields {
            message["id"] = message["message_id"].clone();
            message["channel"] = json!("whatsapp");
            message["message_type"] = json!("template");
            message["message_parts"] = json!([{"text": {"content": "Hi"}}]);
            message["recipients"] = json!([message["to"]]);
            message["metrics"] = json!({"read": 1, "rate": 0.35});
        }
        self.add_times(&mut message, &mut rng);
        message
    }

    /// API document, "List all conversation properties".
    pub fn conversation_fields(&self) -> Vec<Value> {
        let types = [
            "DROPDOWN",
            "DROPDOWN",
            "NUMBER",
            "TEXT",
            "CHECKBOX",
            "PARAGRAPH",
            "DECIMAL",
            "DATE",
            "MULTI_SELECT_DROPDOWN",
        ];
        let make = |index: usize| {
            let mut rng = self.rng("field", index);
            let kind = types[index % types.len()];
            let choice = |number: u64, rng: &mut Rng| match index {
                0 => json!({"id": number.to_string(), "value": format!("Level {number}")}),
                _ => json!({"id": rng.uuid(), "value": format!("Choice \"{number}\"")}),
            };
            let choices: Vec<Value> = match kind.contains("DROPDOWN") {
                true => (1..5).map(|number| choice(number, &mut rng)).collect(),
                false => Vec::new(),
            };
            let mut field = json!({
                "id": rng.uuid(),
                "name": if index == 0 { "priority".to_owned() } else { format!("cf_{index}") },
                "label": if index == 0 { "Priority".to_owned() } else { format!("Feld {index} ß") },
                "type": kind,
                "custom": index > 0,
                "editable": true,
                "position": 174 + index,
                "required": index % 3 == 1,
                "choices": choices,
            });
            if index == 0 {
                field["default_value"] = json!("1");
            }
            if self.options.quirks.live_fields {
                field["column_name"] = json!(format!("cf_text{index}"));
                field["fields"] = json!([{"name": "cf_dependent", "position": index}]);
            }
            field
        };
        (0..self.options.sizes.conversation_fields)
            .map(make)
            .collect()
    }
}

/// The name of thing `index`: a number stands behind it once the names are used up.
fn named(names: &[&str], index: usize) -> String {
    let name = names[index % names.len()];
    match index / names.len() {
        0 => name.to_owned(),
        round => format!("{name} {}", round + 1),
    }
}
