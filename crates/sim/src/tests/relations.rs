//! Relationship columns and record types.

use serde_json::{Value, json};

use super::{Client, SimOptions, counts, ended};

#[tokio::test]
async fn parents_are_found_by_their_keys() {
    let client = Client::start(SimOptions::default()).await;
    let accounts = "Name,Ext_Id__c,Legacy_Id__c\nAcme,A1,old\nBolt,B2,old\n";
    client.insert("Account", accounts).await;
    let contacts = "LastName,Account.Ext_Id__c,Owner.Email,Ext_Id__c\n\
        Good,a1,agent@sim.example,1\nNone,X,,2\nTwo,,shared@sim.example,3\nBlank,,,4\n\
        Null,#N/A,,5\nOwnerless,,#N/A,6\n";
    let job = client.insert("Contact", contacts).await;
    assert_eq!(counts(&job), ended("JobComplete", 6, 3));
    let errors = client.errors(&job).await;
    assert_eq!(
        errors["2"],
        "INVALID_FIELD:Foreign key external ID: X not found for field Ext_Id__c in entity \
         Account:--"
    );
    assert_eq!(
        errors["3"],
        "DUPLICATE_EXTERNAL_ID:Email: more than one record found for external id field: \
         [shared@sim.example]:--"
    );
    assert!(errors["6"].starts_with("REQUIRED_FIELD_MISSING"));
    let account = client.inspect("objects/Account/rows").await[0]["Id"].clone();
    let rows = client.inspect("objects/Contact/rows").await;
    let good = rows.as_array().unwrap();
    let good = good.iter().find(|row| row["LastName"] == "Good").unwrap();
    assert_eq!(good["AccountId"], account);
    let agent = client.inspect("objects/User/rows").await[2]["Id"].clone();
    assert_eq!(good["OwnerId"], agent);
    let both = format!(
        "LastName,AccountId,Account.Legacy_Id__c,Ext_Id__c\nA,,old,7\nB,{0},old,8\n",
        account.as_str().unwrap()
    );
    let job = client.insert("Contact", &both).await;
    let errors = client.errors(&job).await;
    assert!(errors["7"].contains("more than one record found"));
    assert!(errors["8"].contains("more than one record found"));
    let both = format!(
        "LastName,AccountId,Account.Ext_Id__c,Ext_Id__c\nB,{0},A1,9\n",
        account.as_str().unwrap()
    );
    let job = client.insert("Contact", &both).await;
    let error = &client.errors(&job).await["9"];
    assert!(error.contains("cannot specify both an external ID reference Account"));
}

#[tokio::test]
async fn a_type_is_given_where_there_are_several_parents() {
    let client = Client::start(SimOptions::default()).await;
    client
        .insert("Lead", "LastName,Company,Email\nLee,Acme,lee@x.org\n")
        .await;
    client
        .insert("Everything__c", "Name,Ext_Id__c\nE,e1\n")
        .await;
    let tasks = "Subject,Lead:Who.Email,Everything__c:What.Ext_Id__c,User:Owner.Username\n\
        Call,lee@x.org,e1,SELLER@sim.example\n";
    let job = client.insert("Task", tasks).await;
    assert_eq!(counts(&job), ended("JobComplete", 1, 0));
    let task = &client.inspect("objects/Task/rows").await[0];
    assert_eq!(
        task["WhoId"],
        client.inspect("objects/Lead/rows").await[0]["Id"]
    );
    let children = "Parent__r.Ext_Id__c,Key__c\ne1,K\n,L\n";
    let job = client.insert("Child__c", children).await;
    assert_eq!(counts(&job), ended("JobComplete", 2, 1));
    let error = &client.errors(&job).await["L"];
    assert!(error.contains("Required fields are missing: [Parent__c]"));
    let cases = "Subject,Group:Owner.Name\nHelp,Support Queue\n";
    assert_eq!(
        counts(&client.insert("Case", cases).await),
        ended("JobComplete", 1, 0)
    );
    for (object, column, message) in [
        (
            "Task",
            "Who.Email",
            "type is needed for polymorphic foreign key references: Who",
        ),
        (
            "Contact",
            "User:Owner.Email",
            "type is not needed for non polymorphic foreign key references: Owner",
        ),
        ("Contact", "Boss.Email", "Unable to find relationship: Boss"),
        (
            "Contact",
            "Account.Name",
            "Field name not found : Account.Name",
        ),
        (
            "Contact",
            "Account.Parent.Ext_Id__c",
            "Field name not found : Account.Parent.Ext_Id__c",
        ),
    ] {
        let job = client.insert(object, &format!("{column}\nx\n")).await;
        assert_eq!(counts(&job), ended("Failed", 0, 0));
        assert_eq!(job["errorMessage"], format!("InvalidBatch : {message}"));
    }
}

#[tokio::test]
async fn record_types_are_those_of_the_object() {
    let client = Client::start(SimOptions::default()).await;
    let described = client.get("/sobjects/Account/describe").await;
    let infos = described["recordTypeInfos"].as_array().unwrap();
    let id_of = |name: &str| {
        let info = infos.iter().find(|info| info["developerName"] == name);
        info.unwrap()["recordTypeId"].as_str().unwrap().to_owned()
    };
    let case = client.get("/sobjects/Case/describe").await;
    let of_case = case["recordTypeInfos"][0]["recordTypeId"].as_str().unwrap();
    let accounts = format!(
        "Name,RecordTypeId,Tier__c,Ext_Id__c\nA,{0},Gold,1\nB,{0},Silver,2\nC,{1},,3\n\
         D,{2},,4\nE,{3},Silver,5\nF,{of_case},,6\nG,,Silver,7\n",
        id_of("Partner"),
        id_of("Old"),
        id_of("Other_Team"),
        id_of("Master"),
    );
    let job = client.insert("Account", &accounts).await;
    assert_eq!(counts(&job), ended("JobComplete", 7, 4));
    let errors = client.errors(&job).await;
    assert!(errors["2"].starts_with("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST:Tier: bad value"));
    for key in ["3", "4", "6"] {
        let error = &errors[key];
        assert!(
            error.starts_with("INVALID_CROSS_REFERENCE_KEY:Record Type ID: this ID value"),
            "{error}"
        );
    }
    let by_name = "Name,RecordType.DeveloperName,Tier__c,Ext_Id__c\n\
        H,Partner,Gold,8\nI,partner,,9\nJ,Question,,10\nK,Partner,Bronze,11\n";
    let job = client.insert("Account", by_name).await;
    assert_eq!(counts(&job), ended("JobComplete", 4, 3));
    let errors = client.errors(&job).await;
    assert_eq!(
        errors["10"],
        "INVALID_FIELD:Foreign key external ID: Question not found for field DeveloperName in \
         entity RecordType:--"
    );
    assert!(errors["11"].contains("bad value for restricted picklist field: Bronze"));
    let rows = client.inspect("objects/Account/rows").await;
    let named = |name: &str| -> Value {
        let rows = rows.as_array().unwrap();
        let found = rows.iter().find(|row| row["Name"] == name);
        found.unwrap()["RecordTypeId"].clone()
    };
    assert_eq!(named("H"), json!(id_of("Partner")));
}
