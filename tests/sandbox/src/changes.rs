//! Changes of an account that nobody chose: which, of what and when follows from a number.

use crate::account::Account;
use crate::api::Call;
use crate::rng::Rng;
use crate::server::World;

/// Something that happens to an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    EditUser,
    AddUser,
    DeleteUser,
    AddConversation,
    EditConversation,
    /// It stays listed, and answers 404.
    DeleteConversation,
    AddMessage,
    DeleteMessage,
    AddRole,
    DeleteRole,
}

impl Change {
    pub const ALL: [Change; 10] = [
        Change::EditUser,
        Change::AddUser,
        Change::DeleteUser,
        Change::AddConversation,
        Change::EditConversation,
        Change::DeleteConversation,
        Change::AddMessage,
        Change::DeleteMessage,
        Change::AddRole,
        Change::DeleteRole,
    ];
}

/// Changes after some of the API's answers.
#[derive(Clone, Debug)]
pub struct Changes {
    /// What may happen.
    pub of: Vec<Change>,
    /// After one answer in so many.
    pub once_in: u64,
    /// So often at most.
    pub most: usize,
    pub rng: Rng,
}

/// Lets something happen after an answer, if it is time.
pub fn after_answer(call: &Call<'_>) {
    if call.shared.control().changes.is_none() {
        return;
    }
    let mut world = call.shared.world_mut();
    let mut control = call.shared.control();
    let Some(changes) = control.changes.as_mut().filter(|own| own.most > 0) else {
        return;
    };
    if changes.rng.once_in(changes.once_in) && !changes.of.is_empty() {
        changes.most -= 1;
        let change = changes.of[changes.rng.index(changes.of.len())];
        world.change(change, &mut changes.rng);
    }
}

impl World {
    /// Lets something happen, of which `rng` says to what; nothing where there is nothing.
    pub fn change(&mut self, change: Change, rng: &mut Rng) {
        let now = self.moment();
        let account = &mut self.account;
        let user = living_user(account, rng);
        let conversation = living_conversation(account, rng);
        match (change, user, conversation) {
            (Change::EditUser, Some(user), _) => account.users.edit(user, now),
            (Change::AddUser, ..) => {
                account.users.add(now);
            }
            (Change::DeleteUser, Some(user), _) => account.delete_user(user),
            (Change::AddConversation, Some(user), _) => {
                account.conversations.add(user, now);
            }
            (Change::EditConversation, _, Some(at)) => account.conversations.edit(at, now),
            (Change::DeleteConversation, _, Some(at)) => account.conversations.delete(at),
            (Change::AddMessage, _, Some(at)) => account.conversations.add_message(at, now),
            (Change::DeleteMessage, _, Some(at)) => {
                let detail = account.conversations.detail(at);
                let numbers = account.conversations.messages(at, &detail);
                if let Some(&number) = numbers.get(rng.index(numbers.len())) {
                    account.conversations.delete_message(at, number);
                }
            }
            (Change::AddRole, ..) => {
                let role = serde_json::json!({"id": rng.uuid(), "name": "A new role"});
                let place = rng.index(account.roles.len() + 1);
                account.roles.insert(place, role);
            }
            (Change::DeleteRole, ..) if !account.roles.is_empty() => {
                let place = rng.index(account.roles.len());
                account.roles.remove(place);
            }
            _ => (),
        }
    }
}

fn living_user(account: &Account, rng: &mut Rng) -> Option<usize> {
    let living = |&at: &usize| !account.users.get(at).deleted;
    one_of((0..account.users.len()).filter(living).collect(), rng)
}

fn living_conversation(account: &Account, rng: &mut Rng) -> Option<usize> {
    let conversations = &account.conversations;
    let living = |&at: &usize| !conversations.is_deleted(at);
    one_of((0..conversations.len()).filter(living).collect(), rng)
}

fn one_of(places: Vec<usize>, rng: &mut Rng) -> Option<usize> {
    places.get(rng.index(places.len())).copied()
}
